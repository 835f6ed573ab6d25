// PageFiller: puts pages into memory of a restored process that nothing has touched yet. Where it
// can, by a userfaultfd of the process: UFFDIO_COPY gives a page its content at once, where a write
// to /proc/PID/mem first faults, zeroes the page and copies twice. Created by the main thread;
// fill() from any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/proc/mailbox.h"
#include "runtime/proc/mem.h"
#include "runtime/restore/memory_plan.h"

namespace ck::restore {

class PageFiller {
 public:
  // The mappings of `steps` are there. Without userfaultfd (a kernel or a container may refuse it)
  // all goes through /proc/PID/mem. While this lives, the process must not touch its memory.
  static Result<PageFiller> create(proc::Mailbox& box, const std::vector<MapStep>& steps);

  // `address` and the size of `content` are multiples of the page size.
  Status fill(std::uint64_t address, std::span<const std::byte> content) const;

 private:
  struct Range {
    std::uint64_t begin = 0;
    std::uint64_t end = 0;
  };
  explicit PageFiller(proc::ProcMem memory) : memory_(std::move(memory)) {}
  Range range_at(std::uint64_t address) const;
  std::size_t copy(std::uint64_t address, std::span<const std::byte> content) const;

  proc::ProcMem memory_;
  UniqueFd userfault_;         // closing it ends the registrations
  std::vector<Range> ranges_;  // registered; by address
};

}  // namespace ck::restore
