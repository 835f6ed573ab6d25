#include "runtime/memory/read_memory.h"

#include <algorithm>

namespace ck::memory {

namespace {
// More would make the chunk's index entry larger than a short chunk is worth.
constexpr std::size_t kMaxRuns = 256;
// Chunks end here if they are long enough, so that those of forked processes are equal again soon
// after a difference, and are stored once.
constexpr std::uint64_t kBorder = 4 << 20;
constexpr std::uint64_t kLongEnough = 256 << 10;
}  // namespace

Result<std::unique_ptr<MemorySource>> MemorySource::open(RealPid pid) {
  return std::unique_ptr<MemorySource>(new MemorySource(CK_TRY(proc::ProcMem::open(pid))));
}

Status MemorySource::read(std::uint64_t offset, std::span<std::byte> into) const {
  return memory_.read(offset, into);
}

Status ChunkFeeder::add(std::uint64_t begin, std::uint64_t end) {
  while (begin < end) {
    const std::uint64_t border = (begin / kBorder + 1) * kBorder;
    const std::uint64_t length =
        std::min({end - begin, image::kChunkBytes - bytes_, border - begin});
    if (!runs_.empty() && runs_.back().begin + runs_.back().length == begin) {
      runs_.back().length += length;
    } else {
      runs_.push_back({begin, length});
    }
    bytes_ += length;
    begin += length;
    if (bytes_ == image::kChunkBytes || runs_.size() == kMaxRuns ||
        (begin == border && bytes_ >= kLongEnough))
      CK_TRY(flush());
  }
  return {};
}

Status ChunkFeeder::flush() {
  if (runs_.empty()) return {};
  bytes_ = 0;
  return writer_.add(stream_, source_, std::exchange(runs_, {}), zeros_);
}

}  // namespace ck::memory
