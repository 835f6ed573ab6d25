#include "runtime/capture/thread_state.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/proc/mem.h"
#include "runtime/proc/sched.h"
#include "runtime/proc/xstate.h"

namespace ck::capture {

using proc::Mailbox;

void ThreadQuestions::add_to(Mailbox& box) {
  stack_ = box.reserve(sizeof(stack_t));
  clear_tid_ = box.reserve(8);
  robust_ = box.reserve(16);
  pending_ = box.reserve(8);
  box.add(SYS_sigaltstack, 0, stack_);
  box.add(SYS_prctl, PR_GET_TID_ADDRESS, clear_tid_);
  box.add(SYS_get_robust_list, 0, robust_, robust_ + 8);
  box.add(SYS_rt_sigpending, pending_, 8);
  slack_ = box.add(SYS_prctl, PR_GET_TIMERSLACK).index;
  mce_kill_ = box.add(SYS_prctl, PR_MCE_KILL_GET, 0, 0, 0, 0).may_fail();
  securebits_ = box.add(SYS_prctl, PR_GET_SECUREBITS).index;
}

void ThreadQuestions::read(const Mailbox& box, image::ThreadRecord& record,
                           abi::SignalFrame& frame) const {
  const auto altstack = box.value_at<stack_t>(stack_);
  image::AltStackRecord& saved = *record.mutable_alt_stack();
  saved.set_address(reinterpret_cast<std::uint64_t>(altstack.ss_sp));
  saved.set_size(altstack.ss_size);
  saved.set_flags(static_cast<std::uint32_t>(altstack.ss_flags));
  record.set_clear_child_tid(box.value_at<std::uint64_t>(clear_tid_));
  record.set_robust_list(box.value_at<std::uint64_t>(robust_));
  record.set_robust_list_size(box.value_at<std::uint64_t>(robust_ + 8));
  record.set_timer_slack_ns(static_cast<std::uint64_t>(box.result(slack_)));
  if (box.result(mce_kill_) >= 0)
    record.set_mce_kill(static_cast<std::uint32_t>(box.result(mce_kill_)));
  frame.altstack_sp = saved.address();
  frame.altstack_size = saved.size();
  frame.altstack_flags = saved.flags();
}

std::uint32_t ThreadQuestions::securebits(const Mailbox& box) const {
  return static_cast<std::uint32_t>(box.result(securebits_));
}

std::uint64_t ThreadQuestions::pending(const Mailbox& box) const {
  return box.value_at<std::uint64_t>(pending_);
}

namespace {

Status fill_scheduling(RealPid tid, image::SchedulingRecord& saved) {
  const proc::Scheduling scheduling = CK_TRY(proc::read_scheduling(tid));
  saved.set_policy(scheduling.policy);
  saved.set_nice(scheduling.nice);
  saved.set_priority(scheduling.priority);
  saved.set_flags(scheduling.flags);
  saved.set_runtime(scheduling.runtime);
  saved.set_deadline(scheduling.deadline);
  saved.set_period(scheduling.period);
  saved.set_affinity(scheduling.affinity.data(), scheduling.affinity.size());
  saved.set_io_priority(scheduling.io_priority);
  return {};
}

// Under virtual ids it never is.
Result<bool> believes_sigsys_blocked(const FrozenProcess& process, const FrozenThread& thread) {
  if (!process.area().has_virtual_ids()) return false;
  const proc::ProcMem memory = CK_TRY(proc::ProcMem::open(process.witness));
  const auto offset = static_cast<std::uint64_t>(process.agent.believes_blocked);
  return CK_TRY(memory.read_value<std::uint32_t>(thread.fs_base + offset)) != 0;
}

}  // namespace

Status capture_thread(FrozenProcess& process, std::size_t index, image::ThreadRecord& record) {
  const FrozenThread& thread = process.threads[index];
  record.set_tid(thread.tid.value);
  CK_TRY(fill_scheduling(thread.real, *record.mutable_scheduling()));
  record.set_name(thread.name);
  record.set_fs_base(thread.fs_base);
  record.set_gs_base(thread.gs_base);
  record.set_rseq_address(thread.rseq.address);
  record.set_rseq_size(thread.rseq.size);
  record.set_rseq_signature(thread.rseq.signature);
  const abi::ThreadSlot& slot = process.slot(index);
  abi::SignalFrame frame = slot.frame;
  if (CK_TRY(believes_sigsys_blocked(process, thread)))
    frame.sigmask |= std::uint64_t{1} << (SIGSYS - 1);
  record.set_frame(&frame, sizeof frame);
  record.set_xstate(slot.xstate, thread.xstate_size + proc::kXstateTailBytes);
  record.set_eintr_signals(slot.eintr_signals);
  return {};
}

}  // namespace ck::capture
