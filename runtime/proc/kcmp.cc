#include "runtime/proc/kcmp.h"

#include <linux/kcmp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

namespace ck::proc {
namespace {

std::string describe(FdOf file) {
  return "descriptor " + std::to_string(file.fd) + " of process " + to_string(file.pid);
}

long kcmp(RealPid a, RealPid b, int type, unsigned long first, unsigned long second) {
  return ::syscall(SYS_kcmp, a.value, b.value, type, first, second);
}

int type_of(Shared what) {
  switch (what) {
    case Shared::kMemory:
      return KCMP_VM;
    case Shared::kDescriptorTable:
      return KCMP_FILES;
    case Shared::kFileSystem:
      return KCMP_FS;
    case Shared::kSignalHandlers:
      return KCMP_SIGHAND;
    case Shared::kIoContext:
      return KCMP_IO;
    case Shared::kSemUndo:
      return KCMP_SYSVSEM;
  }
  return KCMP_TYPES;
}

}  // namespace

Result<std::strong_ordering> compare_open_files(FdOf a, FdOf b) {
  long order = kcmp(a.pid, b.pid, KCMP_FILE, static_cast<unsigned long>(a.fd),
                    static_cast<unsigned long>(b.fd));
  switch (order) {
    case 0:
      return std::strong_ordering::equal;
    case 1:
      return std::strong_ordering::less;
    case 2:
      return std::strong_ordering::greater;
    default:
      return sys_error("compare " + describe(a) + " with " + describe(b));
  }
}

Result<bool> same_open_file(FdOf a, FdOf b) {
  return CK_TRY(compare_open_files(a, b)) == std::strong_ordering::equal;
}

Result<bool> share(RealPid a, RealPid b, Shared what) {
  long order = kcmp(a, b, type_of(what), 0, 0);
  if (order < 0) return sys_error("compare processes " + to_string(a) + " and " + to_string(b));
  return order == 0;
}

Result<bool> is_epoll_target(FdOf epoll, int watched_fd, unsigned index, FdOf candidate) {
  kcmp_epoll_slot slot{};
  slot.efd = static_cast<unsigned>(epoll.fd);
  slot.tfd = static_cast<unsigned>(watched_fd);
  slot.toff = index;
  long order =
      kcmp(candidate.pid, epoll.pid, KCMP_EPOLL_TFD, static_cast<unsigned long>(candidate.fd),
           reinterpret_cast<unsigned long>(&slot));
  if (order < 0)
    return sys_error("compare a target of " + describe(epoll) + " with " + describe(candidate));
  return order == 0;
}

}  // namespace ck::proc
