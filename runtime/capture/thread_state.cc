#include "runtime/capture/thread_state.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/proc/proc_file.h"
#include "runtime/proc/sched.h"
#include "runtime/proc/xstate.h"

namespace ck::capture {

using proc::Mailbox;

namespace {

Status ask_thread(FrozenProcess& process, std::size_t index, image::ThreadRecord& record) {
  Mailbox box = process.mailbox(index);
  const Mailbox::Address stack = box.reserve(sizeof(stack_t));
  const Mailbox::Address clear_tid = box.reserve(8);
  const Mailbox::Address robust = box.reserve(16);
  box.add(SYS_sigaltstack, 0, stack);
  box.add(SYS_prctl, PR_GET_TID_ADDRESS, clear_tid);
  box.add(SYS_get_robust_list, 0, robust, robust + 8);
  const auto slack = box.add(SYS_prctl, PR_GET_TIMERSLACK);
  CK_TRY(box.run());
  CK_TRY(box.expect_all("ask thread " + to_string(process.threads[index].real) + " for its state"));
  const auto altstack = box.value_at<stack_t>(stack);
  image::AltStackRecord& saved = *record.mutable_alt_stack();
  saved.set_address(reinterpret_cast<std::uint64_t>(altstack.ss_sp));
  saved.set_size(altstack.ss_size);
  saved.set_flags(static_cast<std::uint32_t>(altstack.ss_flags));
  record.set_clear_child_tid(box.value_at<std::uint64_t>(clear_tid));
  record.set_robust_list(box.value_at<std::uint64_t>(robust));
  record.set_robust_list_size(box.value_at<std::uint64_t>(robust + 8));
  record.set_timer_slack_ns(static_cast<std::uint64_t>(box.result(slack)));

  abi::SignalFrame& frame = process.slot(index).frame;
  frame.altstack_sp = saved.address();
  frame.altstack_size = saved.size();
  frame.altstack_flags = saved.flags();
  return {};
}

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

}  // namespace

Status capture_thread(FrozenProcess& process, std::size_t index, image::ThreadRecord& record) {
  const FrozenThread& thread = process.threads[index];
  record.set_tid(thread.tid.value);
  CK_TRY(ask_thread(process, index, record));
  CK_TRY(fill_scheduling(thread.real, *record.mutable_scheduling()));
  std::string name =
      CK_TRY(proc::read_proc(process.pid, "task/" + to_string(thread.real) + "/comm"));
  if (!name.empty() && name.back() == '\n') name.pop_back();
  record.set_name(name);
  record.set_fs_base(thread.fs_base);
  record.set_gs_base(thread.gs_base);
  record.set_rseq_address(thread.rseq.address);
  record.set_rseq_size(thread.rseq.size);
  record.set_rseq_signature(thread.rseq.signature);
  const abi::ThreadSlot& slot = process.slot(index);
  record.set_frame(&slot.frame, sizeof slot.frame);
  record.set_xstate(slot.xstate, thread.xstate_size + proc::kXstateTailBytes);
  record.set_eintr_signals(slot.eintr_signals);
  return {};
}

}  // namespace ck::capture
