#include "runtime/proc/userfault.h"

#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>

#include "runtime/proc/pidfd.h"

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif

namespace ck::proc {

Result<UniqueFd> open_userfault(Mailbox& box, std::uint64_t features) {
  box.clear();
  const auto opened = box.add(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
  CK_TRY(box.run());
  if (box.result(opened) < 0) return UniqueFd();
  const int theirs = static_cast<int>(box.result(opened));
  const PidFd process = CK_TRY(PidFd::open(box.pid()));
  Result<UniqueFd> ours = process.get_descriptor(theirs);
  box.clear();
  CK_TRY(box.call("close a userfaultfd", SYS_close, theirs));
  uffdio_api api{UFFD_API, features, 0};
  if (!ours.ok() || ::ioctl(ours->get(), UFFDIO_API, &api) != 0) return UniqueFd();
  return ours;
}

bool register_range(int userfault, std::uint64_t begin, std::uint64_t end, std::uint64_t mode) {
  uffdio_register wanted{};
  wanted.range = {begin, end - begin};
  wanted.mode = mode;
  return ::ioctl(userfault, UFFDIO_REGISTER, &wanted) == 0;
}

}  // namespace ck::proc
