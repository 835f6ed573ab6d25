#include "runtime/capture/process_state.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "runtime/abi/sigaction.h"
#include "runtime/base/timespec.h"
#include "runtime/capture/pending_signals.h"
#include "runtime/capture/thread_state.h"
#include "runtime/proc/proc_file.h"
#include "runtime/proc/sched.h"
#include "runtime/proc/stat.h"

namespace ck::capture {

using abi::KernelSigaction;
using abi::kLastSignal;
using proc::Mailbox;

namespace {

constexpr std::uint64_t kSaRestart = 0x10000000;

Status capture_signal_actions(FrozenProcess& process, image::ProcessRecord& record) {
  Mailbox box = process.mailbox();
  const Mailbox::Address table = box.reserve(kLastSignal * sizeof(KernelSigaction));
  for (int number = 1; number <= kLastSignal; ++number)
    box.add(SYS_rt_sigaction, number, 0,
            table + static_cast<std::uint64_t>(number - 1) * sizeof(KernelSigaction), 8);
  CK_TRY(box.run());
  CK_TRY(box.expect_all("ask for signal dispositions"));
  for (int number = 1; number <= kLastSignal; ++number) {
    const auto action = box.value_at<KernelSigaction>(
        table + static_cast<std::uint64_t>(number - 1) * sizeof(KernelSigaction));
    if (action.handler == 0 && action.flags == 0 && action.mask == 0) continue;
    image::SignalActionRecord& saved = *record.add_signal_actions();
    saved.set_number(number);
    saved.set_handler(action.handler);
    saved.set_flags(action.flags);
    saved.set_restorer(action.restorer);
    saved.set_mask(action.mask);
  }
  return {};
}

// The request signal's own handler does not count: it restarts what it interrupts.
void settle_restarts(FrozenProcess& process, const image::ProcessRecord& record) {
  const int request = process.area().header()->request_signal;
  std::uint64_t handled = 0;
  std::uint64_t plain = 0;
  for (const image::SignalActionRecord& action : record.signal_actions()) {
    const std::uint64_t bit = std::uint64_t{1} << (action.number() - 1);
    if (action.handler() <= 1) continue;
    if (action.number() == request && in_agent(process, action.handler())) continue;
    handled |= bit;
    if (!(action.flags() & kSaRestart)) plain |= bit;
  }
  for (std::size_t i = 0; i < process.threads.size(); ++i) {
    const std::uint64_t unmasked = ~process.slot(i).frame.sigmask;
    switch (process.threads[i].restart) {
      case RestartClass::kUnlessHandler:
        process.slot(i).eintr_signals = handled & unmasked;
        break;
      case RestartClass::kUnlessPlainHandler:
        process.slot(i).eintr_signals = plain & unmasked;
        break;
      default:
        process.slot(i).eintr_signals = 0;
    }
  }
}

Status capture_attributes(FrozenProcess& process, image::ProcessRecord& record,
                          image::ClockRecord& clocks) {
  Mailbox box = process.mailbox();
  const Mailbox::Address subreaper = box.reserve(8);
  const Mailbox::Address death = box.reserve(8);
  const Mailbox::Address times = box.reserve(3 * sizeof(timespec));
  const auto personality = box.add(SYS_personality, 0xffffffffu);
  const auto dumpable = box.add(SYS_prctl, PR_GET_DUMPABLE);
  box.add(SYS_prctl, PR_GET_CHILD_SUBREAPER, subreaper);
  box.add(SYS_prctl, PR_GET_PDEATHSIG, death);
  const auto thp = box.add(SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0);
  const auto securebits = box.add(SYS_prctl, PR_GET_SECUREBITS);
  const auto brk = box.add(SYS_brk, 0);
  box.add(SYS_clock_gettime, CLOCK_MONOTONIC, times);
  box.add(SYS_clock_gettime, CLOCK_BOOTTIME, times + sizeof(timespec));
  box.add(SYS_clock_gettime, CLOCK_REALTIME, times + 2 * sizeof(timespec));
  CK_TRY(box.run());
  CK_TRY(box.expect_all("ask for process attributes"));
  record.set_personality(static_cast<std::uint32_t>(box.result(personality)));
  record.set_dumpable(process.dumpable_was >= 0 ? process.dumpable_was
                                                : static_cast<int>(box.result(dumpable)));
  record.set_child_subreaper(box.value_at<int>(subreaper) != 0);
  record.set_parent_death_signal(box.value_at<int>(death));
  record.set_thp_disabled(box.result(thp) != 0);
  record.mutable_credentials()->set_securebits(static_cast<std::uint32_t>(box.result(securebits)));
  record.mutable_layout()->set_brk(static_cast<std::uint64_t>(box.result(brk)));
  auto nanoseconds = [&](int index) {
    return to_nanoseconds(
        box.value_at<timespec>(times + static_cast<std::uint64_t>(index) * sizeof(timespec)));
  };
  clocks.set_monotonic_ns(nanoseconds(0));
  clocks.set_boottime_ns(nanoseconds(1));
  clocks.set_realtime_ns(nanoseconds(2));
  return {};
}

void fill_credentials(const proc::ProcessStatus& status, image::CredentialsRecord& saved) {
  saved.mutable_uids()->Assign(status.uids.begin(), status.uids.end());
  saved.mutable_gids()->Assign(status.gids.begin(), status.gids.end());
  saved.mutable_groups()->Assign(status.groups.begin(), status.groups.end());
  saved.set_cap_inheritable(status.cap_inheritable);
  saved.set_cap_permitted(status.cap_permitted);
  saved.set_cap_effective(status.cap_effective);
  saved.set_cap_bounding(status.cap_bounding);
  saved.set_cap_ambient(status.cap_ambient);
}

Status fill_layout(RealPid pid, const proc::ProcessStat& stat, image::MemoryLayoutRecord& layout) {
  layout.set_start_code(stat.start_code);
  layout.set_end_code(stat.end_code);
  layout.set_start_data(stat.start_data);
  layout.set_end_data(stat.end_data);
  layout.set_start_brk(stat.start_brk);
  layout.set_start_stack(stat.start_stack);
  layout.set_arg_start(stat.arg_start);
  layout.set_arg_end(stat.arg_end);
  layout.set_env_start(stat.env_start);
  layout.set_env_end(stat.env_end);
  layout.set_auxv(CK_TRY(proc::read_proc(pid, "auxv")));
  return {};
}

Status fill_from_proc(FrozenProcess& process, image::ProcessRecord& record) {
  const RealPid pid = process.witness;
  const proc::ProcessStat stat = CK_TRY(proc::read_stat(pid));
  const proc::ProcessStatus& status = process.status;
  auto innermost = [](const std::vector<pid_t>& ids, RealPid outer) {
    return ids.empty() ? outer.value : ids.back();
  };
  record.set_pid(process.virtual_pid.value);
  record.set_pgid(innermost(status.ns_pgid, stat.pgrp));
  record.set_sid(innermost(status.ns_sid, stat.session));
  record.set_exit_signal(CK_TRY(proc::read_stat(process.pid)).exit_signal);
  record.set_umask(status.umask);
  record.set_no_new_privs(status.no_new_privs);
  record.set_stopped(process.job_stopped);
  record.set_cwd(CK_TRY(proc::read_proc_link(pid, "cwd")));
  record.set_root(CK_TRY(proc::read_proc_link(pid, "root")));
  record.set_exe(CK_TRY(proc::read_proc_link(pid, "exe")));
  record.set_oom_score_adj(std::atoi(CK_TRY(proc::read_proc(pid, "oom_score_adj")).c_str()));
  fill_credentials(status, *record.mutable_credentials());
  CK_TRY(fill_layout(pid, stat, *record.mutable_layout()));
  for (const proc::Limit& limit : CK_TRY(proc::read_limits(pid))) {
    image::LimitRecord& saved = *record.add_limits();
    saved.set_resource(limit.resource);
    saved.set_soft(limit.soft);
    saved.set_hard(limit.hard);
  }
  Mailbox box = process.mailbox();
  record.set_ppid(static_cast<int>(CK_TRY(box.call("getppid", SYS_getppid))));
  return {};
}

void fill_agent(const FrozenProcess& process, image::AgentRecord& agent) {
  agent.set_version(abi::kVersion);
  agent.set_area(process.agent.area);
  agent.set_area_size(process.area().header()->size);
  agent.set_serve(process.agent.serve);
  agent.set_code_begin(process.agent.code_begin);
  agent.set_code_end(process.agent.code_end);
  agent.set_timed_call(process.agent.timed_call);
}

// A SIGSTOP on its way cannot be queued by a restart, for nothing blocks it: there the process has
// stopped already.
void fill_pending(const std::vector<QueuedSignal>& queued, image::ProcessRecord& process,
                  google::protobuf::RepeatedPtrField<image::SignalRecord>& saved) {
  for (const QueuedSignal& signal : queued) {
    if (signal.number == SIGSTOP) {
      if (!process.stopped()) process.set_unreported(W_STOPCODE(SIGSTOP));
      process.set_stopped(true);
      continue;
    }
    image::SignalRecord& record = *saved.Add();
    record.set_number(signal.number);
    record.set_siginfo(signal.siginfo.data(), signal.siginfo.size());
  }
}

}  // namespace

bool in_agent(const FrozenProcess& process, std::uint64_t address) {
  const proc::Mapping* code = nullptr;
  const proc::Mapping* there = nullptr;
  for (const proc::Mapping& mapping : process.mappings) {
    if (mapping.contains(process.agent.serve)) code = &mapping;
    if (mapping.contains(address)) there = &mapping;
  }
  return code != nullptr && there != nullptr && code->inode == there->inode &&
         code->dev == there->dev;
}

Status capture_process(FrozenProcess& process, image::ProcessRecord& record,
                       image::ClockRecord& clocks) {
  CK_TRY(fill_from_proc(process, record));
  CK_TRY(capture_attributes(process, record, clocks));
  CK_TRY(capture_signal_actions(process, record));
  CK_TRY(capture_timers_and_signals(process, record));
  settle_restarts(process, record);
  fill_agent(process, *record.mutable_agent());
  fill_pending(process.pending, record, *record.mutable_pending());
  CK_TRY(capture_threads(process, record));
  for (std::size_t i = 0; i < process.threads.size(); ++i)
    fill_pending(process.threads[i].pending, record,
                 *record.mutable_threads(static_cast<int>(i))->mutable_pending());
  if (process.leader_exited) {
    auto* leader = record.add_threads();
    leader->set_tid(process.virtual_pid.value);
    leader->set_exited(true);
    leader->set_name(CK_TRY(proc::read_stat(process.pid)).name);
    for (int i = record.threads_size() - 1; i > 0; --i)
      record.mutable_threads()->SwapElements(i, i - 1);
  }
  return {};
}

}  // namespace ck::capture
