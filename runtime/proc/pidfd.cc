#include "runtime/proc/pidfd.h"

#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <string>

namespace ck::proc {

Result<PidFd> PidFd::open(RealPid pid) {
  long fd = ::syscall(SYS_pidfd_open, pid.value, 0);
  // A thread that is no leader (its leader may have exited): PIDFD_THREAD, Linux 6.9.
  if (fd < 0 && (errno == EINVAL || errno == ENOENT))
    fd = ::syscall(SYS_pidfd_open, pid.value, O_EXCL);
  if (fd < 0) return sys_error("open process " + to_string(pid));
  return PidFd(UniqueFd(static_cast<int>(fd)), pid);
}

Result<UniqueFd> PidFd::get_descriptor(int fd) const {
  long copy = ::syscall(SYS_pidfd_getfd, fd_.get(), fd, 0);
  if (copy < 0) {
    return sys_error("get descriptor " + std::to_string(fd) + " of process " + to_string(pid_));
  }
  return UniqueFd(static_cast<int>(copy));
}

Status PidFd::send_signal(int number, const siginfo_t* info) const {
  if (::syscall(SYS_pidfd_send_signal, fd_.get(), number, info, 0) < 0) {
    return sys_error("send signal " + std::to_string(number) + " to process " + to_string(pid_));
  }
  return {};
}

}  // namespace ck::proc
