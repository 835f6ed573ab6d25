// Feeds the memory of a process to an image writer: which pages (what to read) comes from the page
// scan, the bytes (how to read) from /proc/PID/mem. Engine thread only.
#pragma once

#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/image/writer.h"
#include "runtime/proc/mem.h"
#include "runtime/proc/pagemap.h"

namespace ck::memory {

// /proc/PID/mem as a source: offsets are addresses. Not process_vm_readv: on a copy-on-write twin
// it pins pages and so makes the kernel copy each one.
class MemorySource : public image::ByteSource {
 public:
  static Result<std::unique_ptr<MemorySource>> open(RealPid pid);
  Status read(std::uint64_t offset, std::span<std::byte> into) const override;

 protected:
  explicit MemorySource(proc::ProcMem memory) : memory_(std::move(memory)) {}
  proc::ProcMem memory_;
};

// Collects runs into chunks and hands these to the writer.
class ChunkFeeder {
 public:
  // `zeros`: kKeep where the restart does not find zeros under the pages by itself.
  ChunkFeeder(image::Writer& writer, image::StreamId stream, const image::ByteSource& source,
              image::ZeroPages zeros = image::ZeroPages::kLeaveOut)
      : writer_(writer), stream_(stream), source_(source), zeros_(zeros) {}
  Status add(std::uint64_t begin, std::uint64_t end);
  Status flush();

 private:
  image::Writer& writer_;
  image::StreamId stream_;
  const image::ByteSource& source_;
  image::ZeroPages zeros_;
  std::vector<image::Run> runs_;
  std::uint64_t bytes_ = 0;
};

}  // namespace ck::memory
