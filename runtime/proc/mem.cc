#include "runtime/proc/mem.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

#include "runtime/proc/proc_file.h"

namespace ck::proc {

Result<ProcMem> ProcMem::open(RealPid pid) {
  return ProcMem(CK_TRY(open_proc(pid, "mem", O_RDWR)), pid);
}

Error ProcMem::failure(const char* what, std::uint64_t address, int errnum) const {
  char text[96];
  std::snprintf(text, sizeof text, "%s memory of process %d at 0x%lx", what, pid_.value, address);
  return sys_error(text, errnum);
}

Status ProcMem::read(std::uint64_t address, std::span<std::byte> into) const {
  while (!into.empty()) {
    ssize_t got = ::pread(fd_.get(), into.data(), into.size(), static_cast<off_t>(address));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return failure("read", address, got < 0 ? errno : ESRCH);
    address += static_cast<std::uint64_t>(got);
    into = into.subspan(static_cast<std::size_t>(got));
  }
  return {};
}

Status ProcMem::write(std::uint64_t address, std::span<const std::byte> from) const {
  while (!from.empty()) {
    ssize_t put = ::pwrite(fd_.get(), from.data(), from.size(), static_cast<off_t>(address));
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return failure("write", address, put < 0 ? errno : ESRCH);
    address += static_cast<std::uint64_t>(put);
    from = from.subspan(static_cast<std::size_t>(put));
  }
  return {};
}

}  // namespace ck::proc
