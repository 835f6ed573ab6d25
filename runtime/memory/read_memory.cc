#include "runtime/memory/read_memory.h"

#include <algorithm>

namespace ck::memory {

namespace {
// More would make the chunk's index entry larger than a short chunk is worth.
constexpr std::size_t kMaxRuns = 256;
}  // namespace

Result<std::unique_ptr<MemorySource>> MemorySource::open(RealPid pid) {
  return std::unique_ptr<MemorySource>(new MemorySource(CK_TRY(proc::ProcMem::open(pid))));
}

Status MemorySource::read(std::uint64_t offset, std::span<std::byte> into) const {
  return memory_.read(offset, into);
}

Status ChunkFeeder::add(std::uint64_t begin, std::uint64_t end) {
  while (begin < end) {
    const std::uint64_t length = std::min<std::uint64_t>(end - begin, image::kChunkBytes - bytes_);
    if (!runs_.empty() && runs_.back().begin + runs_.back().length == begin) {
      runs_.back().length += length;
    } else {
      runs_.push_back({begin, length});
    }
    bytes_ += length;
    begin += length;
    if (bytes_ == image::kChunkBytes || runs_.size() == kMaxRuns) CK_TRY(flush());
  }
  return {};
}

Status ChunkFeeder::flush() {
  if (runs_.empty()) return {};
  bytes_ = 0;
  return writer_.add(stream_, source_, std::exchange(runs_, {}), zeros_);
}

}  // namespace ck::memory
