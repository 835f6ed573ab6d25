#include "runtime/capture/twin.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "runtime/base/log.h"
#include "runtime/proc/slot_state.h"
#include "runtime/proc/tasks.h"

namespace ck::capture {

using proc::Mailbox;

namespace {

struct Advice {
  const proc::Mapping* mapping;
  int before;  // the fork
  int after;
};

std::vector<Advice> advice_for_fork(const std::vector<proc::Mapping>& mappings) {
  std::vector<Advice> result;
  for (const proc::Mapping& mapping : mappings) {
    if (mapping.vm_flags & proc::kVmDontFork)
      result.push_back({&mapping, MADV_DOFORK, MADV_DONTFORK});
    if (mapping.vm_flags & proc::kVmWipeOnFork)
      result.push_back({&mapping, MADV_KEEPONFORK, MADV_WIPEONFORK});
  }
  return result;
}

Status advise(FrozenProcess& process, const std::vector<Advice>& list, int Advice::*which) {
  Mailbox box = process.mailbox();
  for (std::size_t i = 0; i < list.size();) {
    box.clear();
    for (; i < list.size() && box.calls_left() > 0; ++i)
      box.add(SYS_madvise, list[i].mapping->begin, list[i].mapping->size(), list[i].*which);
    CK_TRY(box.run());
    CK_TRY(box.expect_all("change fork advice"));
  }
  return {};
}

void expect_child(abi::ThreadSlot& slot) {
  slot.orphan_exits = 1;
  slot.self_released = 0;
  slot.state = abi::kArriving;
}

clone_args args_for(const Mailbox& box, unsigned slot, std::uint64_t flags) {
  clone_args args{};
  args.flags = flags;
  args.stack = box.slot_address(slot) + offsetof(abi::ThreadSlot, stack);
  args.stack_size = abi::kStackBytes;
  return args;
}

// The kernel told the process the child's pid in its own namespace; we need ours.
Result<RealPid> real_child(const FrozenProcess& process, RealPid parent, pid_t innermost) {
  const bool same_ids = process.virtual_pid.value == process.pid.value;
  const RealPid pid = same_ids ? RealPid(innermost) : proc::find_child(parent, innermost);
  if (pid) return pid;
  return make_error(ErrorKind::kTryAgain, "the copy of the process died at once",
                    "is memory short?");
}

// `twin` is set as soon as it is there, whatever fails afterwards.
Status fork_beside(FrozenProcess& process, Mailbox& box, unsigned slot, RealPid& twin) {
  expect_child(*process.area().slot(slot));
  const pid_t pid = CK_TRY(box.clone(args_for(box, slot, CLONE_PARENT), slot));
  twin = CK_TRY(real_child(process, process.status.ppid, pid));
  return {};
}

// The helper shares the memory of the process and has no exit signal, so that its end is not told
// to the program and no wait of it but ours (__WALL) sees it.
Status fork_below_helper(FrozenProcess& process, Mailbox& box, unsigned slot, RealPid& twin) {
  const unsigned helper_slot = slot + 1;
  expect_child(*process.area().slot(helper_slot));
  const pid_t helper =
      CK_TRY(box.clone(args_for(box, helper_slot, CLONE_VM | CLONE_FILES | CLONE_FS), helper_slot));
  const RealPid real_helper = CK_TRY(real_child(process, process.pid, helper));
  Mailbox helper_box(process.area(), helper_slot, process.agent.area, real_helper);
  CK_TRY(helper_box.wait_parked());
  expect_child(*process.area().slot(slot));
  clone_args args = args_for(box, slot, 0);
  args.exit_signal = SIGCHLD;
  const Result<pid_t> cloned = helper_box.clone(args, slot);
  Status forked;
  if (cloned.ok()) {
    const Result<RealPid> child = real_child(process, real_helper, *cloned);
    if (child.ok()) twin = *child;
    if (!child.ok()) forked = child.error();
  } else {
    forked = cloned.error();
  }
  helper_box.clear();
  helper_box.add(SYS_exit, 0);
  helper_box.start();
  box.clear();
  CK_TRY(box.call("collect the helper that made the copy", SYS_wait4, helper, 0, __WALL, 0));
  return forked;
}

}  // namespace

Result<std::unique_ptr<Twin>> Twin::fork(FrozenProcess& process, Parent parent) {
  const std::vector<Advice> advice = advice_for_fork(process.mappings);
  CK_TRY(advise(process, advice, &Advice::before));
  Mailbox box = process.mailbox();
  const unsigned slot = process.slots_end();
  std::unique_ptr<Twin> twin(new Twin(RealPid()));
  Status forked = parent == Parent::kReaper ? fork_beside(process, box, slot, twin->pid_)
                                            : fork_below_helper(process, box, slot, twin->pid_);
  // A process that is killed while it forks may leave a child of which it could not tell.
  if (!forked.ok())
    for (unsigned made : {slot, slot + 1})
      proc::set_slot_state(*process.area().slot(made), abi::kDismissed);
  CK_TRY(advise(process, advice, &Advice::after));
  CK_TRY(std::move(forked));
  Mailbox twin_box(process.area(), slot, process.agent.area, twin->pid());
  CK_TRY(twin_box.wait_parked());
  // Or whoever reads a pipe of the program waits for the twin to close it.
  CK_TRY(twin_box.call("close the twin's descriptors", SYS_close_range, 0, ~0u, 0));
  return twin;
}

bool Twin::alive() const {
  return proc::is_alive(pid_);
}

Twin::~Twin() {
  if (!pid_ || ::kill(pid_.value, SIGKILL) != 0) return;
  // Our child where we are the program's parent; else its parent there collects it.
  ::waitpid(pid_.value, nullptr, __WALL);
}

}  // namespace ck::capture
