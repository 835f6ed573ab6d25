// kcmp(2): whether two processes, or two descriptors, share one kernel object. Needs
// PTRACE_MODE_READ on both, and CONFIG_KCMP. Any thread may call.
#pragma once

#include <compare>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace ck::proc {

struct FdOf {
  RealPid pid;
  int fd = -1;
};

// An order of open file descriptions that holds until the next boot (the kernel scrambles their
// addresses): equal means the same one.
Result<std::strong_ordering> compare_open_files(FdOf a, FdOf b);
Result<bool> same_open_file(FdOf a, FdOf b);

// What two tasks may share by clone(2).
enum class Shared { kMemory, kDescriptorTable, kFileSystem, kSignalHandlers, kIoContext, kSemUndo };
Result<bool> share(RealPid a, RealPid b, Shared what);

// Whether target number `index` among those that the epoll instance `epoll` watches under the
// descriptor number `watched_fd` is the open file of `candidate`.
Result<bool> is_epoll_target(FdOf epoll, int watched_fd, unsigned index, FdOf candidate);

}  // namespace ck::proc
