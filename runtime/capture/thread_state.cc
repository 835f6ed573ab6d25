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

// What only the thread itself can tell. All are asked before any answer is waited for.
class Questions {
 public:
  explicit Questions(Mailbox mailbox) : box_(std::move(mailbox)) {
    box_.clear();
    stack_ = box_.reserve(sizeof(stack_t));
    clear_tid_ = box_.reserve(8);
    robust_ = box_.reserve(16);
    box_.add(SYS_sigaltstack, 0, stack_);
    box_.add(SYS_prctl, PR_GET_TID_ADDRESS, clear_tid_);
    box_.add(SYS_get_robust_list, 0, robust_, robust_ + 8);
    slack_ = box_.add(SYS_prctl, PR_GET_TIMERSLACK).index;
    box_.start();
  }
  Status read(image::ThreadRecord& record, abi::SignalFrame& frame) {
    CK_TRY(box_.finish());
    CK_TRY(box_.expect_all("ask a thread for its state"));
    const auto altstack = box_.value_at<stack_t>(stack_);
    image::AltStackRecord& saved = *record.mutable_alt_stack();
    saved.set_address(reinterpret_cast<std::uint64_t>(altstack.ss_sp));
    saved.set_size(altstack.ss_size);
    saved.set_flags(static_cast<std::uint32_t>(altstack.ss_flags));
    record.set_clear_child_tid(box_.value_at<std::uint64_t>(clear_tid_));
    record.set_robust_list(box_.value_at<std::uint64_t>(robust_));
    record.set_robust_list_size(box_.value_at<std::uint64_t>(robust_ + 8));
    record.set_timer_slack_ns(static_cast<std::uint64_t>(box_.result({slack_, &box_})));
    frame.altstack_sp = saved.address();
    frame.altstack_size = saved.size();
    frame.altstack_flags = saved.flags();
    return {};
  }

 private:
  Mailbox box_;
  Mailbox::Address stack_ = 0, clear_tid_ = 0, robust_ = 0;
  unsigned slack_ = 0;
};

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

Status capture_thread(FrozenProcess& process, std::size_t index, Questions& questions,
                      image::ThreadRecord& record) {
  const FrozenThread& thread = process.threads[index];
  record.set_tid(thread.tid.value);
  CK_TRY(questions.read(record, process.slot(index).frame));
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

}  // namespace

Status capture_threads(FrozenProcess& process, image::ProcessRecord& record) {
  std::vector<Questions> questions;
  for (std::size_t i = 0; i < process.threads.size(); ++i)
    questions.emplace_back(process.mailbox(i));
  for (std::size_t i = 0; i < process.threads.size(); ++i)
    CK_TRY(capture_thread(process, i, questions[i], *record.add_threads()));
  return {};
}

}  // namespace ck::capture
