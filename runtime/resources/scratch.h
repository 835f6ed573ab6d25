// Memory in a parked process for more than a mailbox holds; gone at the end of a scope. Engine
// thread only.
#pragma once

#include <sys/mman.h>
#include <sys/syscall.h>

#include "runtime/base/result.h"
#include "runtime/proc/mailbox.h"
#include "runtime/proc/mem.h"

namespace ck::resources {

class Scratch {
 public:
  static Result<Scratch> map(proc::Mailbox& box, RealPid pid, std::size_t bytes) {
    proc::ProcMem memory = CK_TRY(proc::ProcMem::open(pid));
    const std::int64_t begin =
        CK_TRY(box.call("map memory for a moment", SYS_mmap, 0, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    return Scratch(box, std::move(memory), static_cast<std::uint64_t>(begin), bytes);
  }
  ~Scratch() {
    if (bytes_ != 0) (void)box_->call("unmap it", SYS_munmap, begin_, bytes_);
  }
  Scratch(Scratch&& other) noexcept
      : box_(other.box_),
        memory_(std::move(other.memory_)),
        begin_(other.begin_),
        bytes_(std::exchange(other.bytes_, 0)) {}
  Scratch& operator=(Scratch&&) = delete;

  std::uint64_t address() const { return begin_; }
  Status read(std::size_t offset, std::span<std::byte> into) const {
    return memory_.read(begin_ + offset, into);
  }
  Status write(std::size_t offset, std::span<const std::byte> from) const {
    return memory_.write(begin_ + offset, from);
  }

 private:
  Scratch(proc::Mailbox& box, proc::ProcMem memory, std::uint64_t begin, std::size_t bytes)
      : box_(&box), memory_(std::move(memory)), begin_(begin), bytes_(bytes) {}
  proc::Mailbox* box_;
  proc::ProcMem memory_;
  std::uint64_t begin_;
  std::size_t bytes_;
};

}  // namespace ck::resources
