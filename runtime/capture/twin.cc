#include "runtime/capture/twin.h"

#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "runtime/base/log.h"
#include "runtime/proc/tasks.h"

namespace ck::capture {

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
  proc::Mailbox box = process.mailbox();
  for (std::size_t i = 0; i < list.size();) {
    box.clear();
    for (; i < list.size() && box.calls_left() > 0; ++i)
      box.add(SYS_madvise, list[i].mapping->begin, list[i].mapping->size(), list[i].*which);
    CK_TRY(box.run());
    CK_TRY(box.expect_all("change fork advice"));
  }
  return {};
}

}  // namespace

Result<std::unique_ptr<Twin>> Twin::fork(FrozenProcess& process) {
  const std::vector<Advice> advice = advice_for_fork(process.mappings);
  CK_TRY(advise(process, advice, &Advice::before));
  proc::Mailbox box = process.mailbox();
  const unsigned twin_slot = process.slots_end();
  abi::ThreadSlot& slot = *process.area().slot(twin_slot);
  slot.orphan_exits = 1;
  slot.self_released = 0;
  slot.state = abi::kArriving;
  clone_args args{};
  args.flags = CLONE_PARENT;
  args.stack = box.slot_address(twin_slot) + offsetof(abi::ThreadSlot, stack);
  args.stack_size = abi::kStackBytes;
  const Result<pid_t> cloned = box.clone(args, twin_slot);
  CK_TRY(advise(process, advice, &Advice::after));
  const pid_t innermost = CK_TRY(cloned);
  // The kernel told the process the twin's pid in its own namespace; we need ours.
  const RealPid pid = proc::find_child(process.status.ppid, innermost);
  if (!pid)
    return make_error(ErrorKind::kTryAgain, "the copy of the process died at once",
                      "is memory short?");
  std::unique_ptr<Twin> twin(new Twin(pid));
  proc::Mailbox twin_box(process.area(), twin_slot, process.agent.area, twin->pid());
  CK_TRY(twin_box.wait_parked());
  // Or whoever reads a pipe of the program waits for the twin to close it.
  CK_TRY(twin_box.call("close the twin's descriptors", SYS_close_range, 0, ~0u, 0));
  return twin;
}

bool Twin::alive() const {
  return proc::is_alive(pid_);
}

Twin::~Twin() {
  if (::kill(pid_.value, SIGKILL) != 0) return;
  // Our child where we are the program's parent; else its parent there collects it.
  ::waitpid(pid_.value, nullptr, __WALL);
}

}  // namespace ck::capture
