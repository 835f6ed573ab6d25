#include "runtime/restore/restore_threads.h"

#include <asm/prctl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>
#include <map>

#include "runtime/proc/mem.h"
#include "runtime/proc/status.h"
#include "runtime/proc/tasks.h"
#include "runtime/proc/virtual_ids.h"
#include "runtime/restore/id_patience.h"
#include "runtime/restore/xstate_layout.h"

namespace ck::restore {

using proc::Mailbox;

namespace {

// struct sched_attr, sched_setattr(2); its header cannot be included beside glibc's.
struct SchedulingAttributes {
  std::uint32_t size, sched_policy;
  std::uint64_t sched_flags;
  std::int32_t sched_nice;
  std::uint32_t sched_priority;
  std::uint64_t sched_runtime, sched_deadline, sched_period;
};

constexpr std::uint64_t kThreadFlags =
    CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM;

Status set_own_state(Mailbox& box, const image::ThreadRecord& thread) {
  box.clear();
  box.add(SYS_arch_prctl, ARCH_SET_FS, thread.fs_base());
  box.add(SYS_arch_prctl, ARCH_SET_GS, thread.gs_base());
  box.add(SYS_set_tid_address, thread.clear_child_tid());
  if (thread.robust_list() != 0)
    box.add(SYS_set_robust_list, thread.robust_list(), thread.robust_list_size());
  if (thread.rseq_address() != 0)
    box.add(SYS_rseq, thread.rseq_address(), thread.rseq_size(), 0, thread.rseq_signature());
  stack_t stack{};
  stack.ss_sp = reinterpret_cast<void*>(thread.alt_stack().address());
  stack.ss_size = thread.alt_stack().size();
  stack.ss_flags = static_cast<int>(thread.alt_stack().flags()) & ~SS_ONSTACK;
  box.add(SYS_sigaltstack, box.put_value(stack), 0);
  box.add(SYS_prctl, PR_SET_NAME, box.put_string(thread.name()));
  box.add(SYS_prctl, PR_SET_TIMERSLACK, thread.timer_slack_ns());
  if (thread.has_mce_kill())
    box.add(SYS_prctl, PR_MCE_KILL, PR_MCE_KILL_SET, thread.mce_kill(), 0, 0);
  CK_TRY(box.run());
  return box.expect_all("set the state of thread " + std::to_string(thread.tid()));
}

Status queue_signals(Mailbox& box, const image::ProcessRecord& process,
                     const image::ThreadRecord& thread) {
  for (const image::SignalRecord& signal : thread.pending()) {
    box.clear();
    std::string siginfo = signal.siginfo();
    proc::make_real(box.area(), std::as_writable_bytes(std::span(siginfo)));
    CK_TRY(box.call("queue signal " + std::to_string(signal.number()), SYS_rt_tgsigqueueinfo,
                    box.area().real_id(process.pid()), box.area().real_id(thread.tid()),
                    signal.number(), box.put(std::as_bytes(std::span(siginfo)))));
  }
  return {};
}

// From outside: by the time a thread is released it may no longer have the right to.
void set_scheduling(RealPid tid, const image::SchedulingRecord& saved,
                    std::vector<std::string>& warnings) {
  SchedulingAttributes attributes{};
  attributes.size = sizeof attributes;
  attributes.sched_policy = saved.policy();
  attributes.sched_flags = saved.flags();
  attributes.sched_nice = saved.nice();
  attributes.sched_priority = saved.priority();
  attributes.sched_runtime = saved.runtime();
  attributes.sched_deadline = saved.deadline();
  attributes.sched_period = saved.period();
  if (::syscall(SYS_sched_setattr, tid.value, &attributes, 0) != 0)
    warnings.push_back("scheduling policy or nice value of a thread cannot be set here: " +
                       std::string(std::strerror(errno)));
  if (!saved.affinity().empty() && ::syscall(SYS_sched_setaffinity, tid.value,
                                             saved.affinity().size(), saved.affinity().data()) != 0)
    warnings.push_back("the CPUs that a thread was bound to are not here");
  constexpr int kIoprioProcess = 1;
  if (saved.io_priority() != 0 &&
      ::syscall(SYS_ioprio_set, kIoprioProcess, tid.value, saved.io_priority()) != 0)
    warnings.push_back("the I/O priority of a thread cannot be set here: " +
                       std::string(std::strerror(errno)));
}

// It is never blocked there; the agent remembers what the program believes.
Status unblock_sigsys(const Mailbox& box, const image::ThreadRecord& thread,
                      abi::SignalFrame& frame) {
  constexpr std::uint64_t kSigsys = std::uint64_t{1} << (SIGSYS - 1);
  const std::uint32_t believes = (frame.sigmask & kSigsys) != 0;
  frame.sigmask &= ~kSigsys;
  const proc::ProcMem memory = CK_TRY(proc::ProcMem::open(box.pid()));
  const auto page =
      CK_TRY(memory.read_value<abi::AgentPage>(box.area_address() - abi::kAgentPageBytes));
  const auto place = thread.fs_base() + static_cast<std::uint64_t>(page.believes_blocked);
  return memory.write(place, std::as_bytes(std::span(&believes, 1)));
}

Status fill_slot(const ControlArea& area, unsigned index, const Mailbox& box,
                 const image::ThreadRecord& thread, const image::HostRecord& host) {
  abi::ThreadSlot& slot = *area.slot(index);
  if (thread.frame().size() != sizeof slot.frame)
    return make_error(ErrorKind::kBadImage,
                      "the frame of thread " + std::to_string(thread.tid()) + " is damaged");
  std::memcpy(&slot.frame, thread.frame().data(), sizeof slot.frame);
  CK_TRY(lay_out_xstate(thread.xstate(), host, std::as_writable_bytes(std::span(slot.xstate))));
  if (area.has_virtual_ids()) CK_TRY(unblock_sigsys(box, thread, slot.frame));
  slot.frame.fpstate = box.slot_address(index) + offsetof(abi::ThreadSlot, xstate);
  slot.eintr_signals = thread.eintr_signals();
  slot.tid = thread.tid();
  return {};
}

}  // namespace

Status make_threads(Mailbox& leader, const ControlArea& area, unsigned first_slot,
                    const image::ProcessRecord& process) {
  for (int i = 1; i < process.threads_size(); ++i) {
    const unsigned index = first_slot + static_cast<unsigned>(i);
    abi::ThreadSlot& slot = *area.slot(index);
    slot.state = abi::kArriving;
    slot.self_released = 0;
    slot.orphan_exits = 1;
    leader.clear();
    clone_args args{};
    args.flags = kThreadFlags;
    args.stack = leader.slot_address(index) + offsetof(abi::ThreadSlot, stack);
    args.stack_size = abi::kStackBytes;
    const pid_t wanted = area.has_virtual_ids() ? 0 : process.threads(i).tid();
    const IdPatience patience(wanted);
    Result<pid_t> made = leader.clone(args, index, wanted);
    while (!made.ok() && patience.again(made.error().errnum))
      made = leader.clone(args, index, wanted);
    if (!made.ok())
      return std::move(made)
          .error()
          .within("thread " + std::to_string(process.threads(i).tid()))
          .with_hint("its id is in use; try --pids namespace");
    if (area.has_virtual_ids())
      CK_TRY(proc::bind_id(area, process.threads(i).tid(), RealPid(*made)));
    Mailbox box(area, index, leader.area_address(), leader.pid());
    CK_TRY(box.wait_parked());
  }
  return {};
}

Status set_thread_state(const ControlArea& area, unsigned first_slot,
                        const image::ProcessRecord& process, RealPid pid,
                        const image::HostRecord& host, std::vector<std::string>& warnings) {
  const std::uint64_t area_address = process.agent().area();
  std::map<pid_t, RealPid> real;
  for (RealPid tid : CK_TRY(proc::read_threads(pid)))
    if (const auto status = proc::read_status(tid); status.ok() && !status->ns_pid.empty())
      real[status->ns_pid.back()] = tid;
  for (int i = 0; i < process.threads_size(); ++i) {
    const image::ThreadRecord& thread = process.threads(i);
    if (thread.exited()) continue;
    const unsigned index = first_slot + static_cast<unsigned>(i);
    Mailbox box(area, index, area_address, pid);
    CK_TRY(set_own_state(box, thread));
    CK_TRY(queue_signals(box, process, thread));
    set_scheduling(real[area.real_id(thread.tid())], thread.scheduling(), warnings);
    CK_TRY(fill_slot(area, index, box, thread, host));
  }
  return {};
}

}  // namespace ck::restore
