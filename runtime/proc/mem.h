// ProcMem: the memory of another process by /proc/PID/mem. Reading does not disturb copy-on-write
// sharing; writing ignores page protections, as a debugger does. Any thread, several at once.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::proc {

class ProcMem {
 public:
  // Needs the right to trace the process (PTRACE_MODE_ATTACH). The object stays with the address
  // space that the process has now: after an exec, reads yield nothing.
  static Result<ProcMem> open(RealPid pid);

  // All of `into` or `from`; a page that cannot be reached is an error with its address.
  Status read(std::uint64_t address, std::span<std::byte> into) const;
  Status write(std::uint64_t address, std::span<const std::byte> from) const;

  template <typename T>
  requires std::is_trivially_copyable_v<T> Result<T> read_value(std::uint64_t address)
  const {
    T value;
    CK_TRY(read(address, std::as_writable_bytes(std::span(&value, 1))));
    return value;
  }

  RealPid pid() const { return pid_; }

 private:
  ProcMem(UniqueFd fd, RealPid pid) : fd_(std::move(fd)), pid_(pid) {}
  Error failure(const char* what, std::uint64_t address, int errnum) const;
  UniqueFd fd_;
  RealPid pid_;
};

}  // namespace ck::proc
