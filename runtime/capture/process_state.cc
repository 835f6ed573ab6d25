#include "runtime/capture/process_state.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include <algorithm>

#include "runtime/abi/sigaction.h"
#include "runtime/base/timespec.h"
#include "runtime/capture/pending_signals.h"
#include "runtime/proc/proc_file.h"
#include "runtime/proc/sched.h"
#include "runtime/proc/stat.h"
#include "runtime/proc/virtual_ids.h"

namespace ck::capture {

#ifndef PR_GET_MDWE
#define PR_GET_MDWE 66
#endif
#ifndef PR_GET_MEMORY_MERGE
#define PR_GET_MEMORY_MERGE 68
#endif

using abi::KernelSigaction;
using abi::kLastSignal;
using proc::Mailbox;

namespace {

constexpr std::uint64_t kSaRestart = 0x10000000;
constexpr int kMembarrierGetRegistrations = 1 << 9;  // Linux 6.3
constexpr std::size_t kLdtEntryBytes = 8;
constexpr std::size_t kPage = 4096;

// What it says of a kernel that does not know the question: nothing is there to be kept.
std::uint32_t answer_or_0(const Mailbox& box, unsigned call) {
  return static_cast<std::uint32_t>(std::max<std::int64_t>(box.result(call), 0));
}

// Under virtual ids the agent stands before all handlers of the program (abi::AgentPage::actions).
KernelSigaction programs_own(const abi::AgentPage& agent, int number, KernelSigaction action) {
  const bool ours = action.handler == agent.deliver || action.handler == agent.on_sigsys;
  return ours ? agent.actions[number] : action;
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
  const ControlArea& area = process.area();
  const auto known = [&area](const std::vector<pid_t>& ids, RealPid outer) {
    return area.virtual_id(ids.empty() ? outer.value : ids.back());
  };
  record.set_pid(process.virtual_pid.value);
  record.set_pgid(known(status.ns_pgid, stat.pgrp));
  record.set_sid(known(status.ns_sid, stat.session));
  record.set_exit_signal(CK_TRY(proc::read_stat(process.pid)).exit_signal);
  record.set_umask(status.umask);
  // The filter of virtual ids has needed it.
  record.set_no_new_privs(area.has_virtual_ids() ? process.agent.no_new_privs != 0
                                                 : status.no_new_privs);
  record.set_stopped(process.job_stopped);
  record.set_cwd(CK_TRY(proc::read_proc_link(pid, "cwd")));
  record.set_root(CK_TRY(proc::read_proc_link(pid, "root")));
  record.set_exe(area.has_virtual_ids() && process.agent.exe[0] != '\0'
                     ? process.agent.exe
                     : CK_TRY(proc::read_proc_link(pid, "exe")));
  record.set_oom_score_adj(std::atoi(CK_TRY(proc::read_proc(pid, "oom_score_adj")).c_str()));
  if (const auto filter = proc::read_proc(pid, "coredump_filter"); filter.ok())
    record.set_coredump_filter(
        static_cast<std::uint32_t>(std::strtoul(filter->c_str(), nullptr, 16)));
  fill_credentials(status, *record.mutable_credentials());
  CK_TRY(fill_layout(pid, stat, *record.mutable_layout()));
  for (const proc::Limit& limit : CK_TRY(proc::read_limits(pid))) {
    image::LimitRecord& saved = *record.add_limits();
    saved.set_resource(limit.resource);
    saved.set_soft(limit.soft);
    saved.set_hard(limit.hard);
  }
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
void fill_pending(const ControlArea& area, const std::vector<QueuedSignal>& queued,
                  image::ProcessRecord& process,
                  google::protobuf::RepeatedPtrField<image::SignalRecord>& saved) {
  for (const QueuedSignal& signal : queued) {
    if (signal.number == SIGSTOP) {
      if (!process.stopped()) process.set_unreported(W_STOPCODE(SIGSTOP));
      process.set_stopped(true);
      continue;
    }
    image::SignalRecord& record = *saved.Add();
    std::vector<std::byte> siginfo = signal.siginfo;
    proc::make_virtual(area, siginfo);
    record.set_number(signal.number);
    record.set_siginfo(siginfo.data(), siginfo.size());
  }
}

}  // namespace

bool in_agent(const FrozenProcess& process, std::uint64_t address) {
  const proc::Mapping* code = nullptr;
  const proc::Mapping* there = nullptr;
  for (const proc::Mapping& mapping : process.mappings) {
    if (mapping.contains(process.agent.serve_code_begin)) code = &mapping;
    if (mapping.contains(address)) there = &mapping;
  }
  return code != nullptr && there != nullptr && code->inode == there->inode &&
         code->dev == there->dev;
}

// Pages that are locked cannot be discarded (madvise(2)); MCL_ONFAULT brings none in.
void FreshPage::add_to(Mailbox& box) {
  resident_ = box.reserve(1);
  const auto page =
      box.add(SYS_mmap, 0, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  mapped_ = page.may_fail();
  box.add(SYS_mincore, page, kPage, resident_).may_fail();
  discarded_ = box.add(SYS_madvise, page, kPage, MADV_DONTNEED).may_fail();
  box.add(SYS_munmap, page, kPage).may_fail();
}

// EAGAIN: a page more would be more than the process may lock (mmap(2)).
std::uint32_t FreshPage::locked(const Mailbox& box) const {
  if (box.result(mapped_) == -EAGAIN) return MCL_FUTURE;
  if (box.result(mapped_) < 0 || box.result(discarded_) != -EINVAL) return 0;
  return box.value_at<std::uint8_t>(resident_) & 1 ? MCL_FUTURE : MCL_FUTURE | MCL_ONFAULT;
}

std::optional<std::string> removed_folder(RealPid pid) {
  constexpr std::string_view kDeleted = " (deleted)";
  struct stat folder {};
  Result<std::string> name = proc::read_proc_link(pid, "cwd");
  if (!name.ok() || ::stat(proc::proc_path(pid, "cwd").c_str(), &folder) != 0 ||
      folder.st_nlink != 0)
    return std::nullopt;
  if (name->ends_with(kDeleted)) name->resize(name->size() - kDeleted.size());
  if (::stat(name->c_str(), &folder) == 0 && S_ISDIR(folder.st_mode)) return std::nullopt;
  return std::move(*name);
}

ProcessCapture::ProcessCapture(FrozenProcess& process)
    : process_(process), questions_(process.threads.size()) {
  for (std::size_t i = 0; i < process.threads.size(); ++i) boxes_.push_back(process.mailbox(i));
}

void ProcessCapture::ask() {
  for (std::size_t i = 0; i < boxes_.size(); ++i) {
    boxes_[i].clear();
    // Interval timers before pending signals: one that fires in between is seen twice, not never.
    if (i == 0) ask_process(boxes_[i]);
    questions_[i].add_to(boxes_[i]);
    boxes_[i].start();
  }
}

void ProcessCapture::ask_process(Mailbox& box) {
  actions_ = box.reserve(kLastSignal * sizeof(KernelSigaction));
  timers_ = box.reserve(sizeof(IntervalTimers));
  subreaper_ = box.reserve(8);
  death_ = box.reserve(8);
  times_ = box.reserve(3 * sizeof(timespec));
  for (int number = 1; number <= kLastSignal; ++number)
    box.add(SYS_rt_sigaction, number, 0,
            actions_ + static_cast<std::uint64_t>(number - 1) * sizeof(KernelSigaction), 8);
  for (std::uint64_t which = 0; which < 3; ++which)
    box.add(SYS_getitimer, which, timers_ + which * sizeof(itimerval));
  personality_ = box.add(SYS_personality, 0xffffffffu).index;
  dumpable_ = box.add(SYS_prctl, PR_GET_DUMPABLE).index;
  box.add(SYS_prctl, PR_GET_CHILD_SUBREAPER, subreaper_);
  box.add(SYS_prctl, PR_GET_PDEATHSIG, death_);
  thp_ = box.add(SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0).index;
  brk_ = box.add(SYS_brk, 0).index;
  parent_ = box.add(SYS_getppid).index;
  membarrier_ = box.add(SYS_membarrier, kMembarrierGetRegistrations, 0, 0).may_fail();
  mdwe_ = box.add(SYS_prctl, PR_GET_MDWE, 0, 0, 0, 0).may_fail();
  merge_ = box.add(SYS_prctl, PR_GET_MEMORY_MERGE, 0, 0, 0, 0).may_fail();
  ldt_ = box.add(SYS_modify_ldt, 0, box.reserve(kLdtEntryBytes), kLdtEntryBytes).may_fail();
  fresh_page_.add_to(box);
  box.add(SYS_clock_gettime, CLOCK_MONOTONIC, times_);
  box.add(SYS_clock_gettime, CLOCK_BOOTTIME, times_ + sizeof(timespec));
  box.add(SYS_clock_gettime, CLOCK_REALTIME, times_ + 2 * sizeof(timespec));
}

Status ProcessCapture::await_answers() {
  for (Mailbox& box : boxes_) {
    CK_TRY(box.finish());
    CK_TRY(box.expect_all("ask a thread for its state"));
  }
  return {};
}

void ProcessCapture::read_signal_actions(image::ProcessRecord& record) const {
  for (int number = 1; number <= kLastSignal; ++number) {
    auto action = boxes_[0].value_at<KernelSigaction>(
        actions_ + static_cast<std::uint64_t>(number - 1) * sizeof(KernelSigaction));
    if (process_.area().has_virtual_ids()) action = programs_own(process_.agent, number, action);
    if (action.handler == 0 && action.flags == 0 && action.mask == 0) continue;
    image::SignalActionRecord& saved = *record.add_signal_actions();
    saved.set_number(number);
    saved.set_handler(action.handler);
    saved.set_flags(action.flags);
    saved.set_restorer(action.restorer);
    saved.set_mask(action.mask);
  }
}

void ProcessCapture::read_attributes(image::ProcessRecord& record,
                                     image::ClockRecord& clocks) const {
  const Mailbox& box = boxes_[0];
  record.set_ppid(process_.area().virtual_id(static_cast<int>(box.result(parent_))));
  record.set_personality(static_cast<std::uint32_t>(box.result(personality_)));
  record.set_dumpable(process_.dumpable_was >= 0 ? process_.dumpable_was
                                                 : static_cast<int>(box.result(dumpable_)));
  record.set_child_subreaper(box.value_at<int>(subreaper_) != 0);
  record.set_parent_death_signal(box.value_at<int>(death_));
  record.set_thp_disabled(static_cast<std::uint32_t>(box.result(thp_)));
  record.mutable_credentials()->set_securebits(questions_[0].securebits(box));
  record.set_membarrier(answer_or_0(box, membarrier_));
  record.set_mdwe(answer_or_0(box, mdwe_));
  record.set_memory_merge(answer_or_0(box, merge_) != 0);
  record.set_lock_future(fresh_page_.locked(box));
  record.mutable_layout()->set_brk(static_cast<std::uint64_t>(box.result(brk_)));
  auto nanoseconds = [&](std::uint64_t index) {
    return to_nanoseconds(box.value_at<timespec>(times_ + index * sizeof(timespec)));
  };
  clocks.set_monotonic_ns(nanoseconds(0));
  clocks.set_boottime_ns(nanoseconds(1));
  clocks.set_realtime_ns(nanoseconds(2));
}

Status ProcessCapture::capture_threads(image::ProcessRecord& record) {
  for (std::size_t i = 0; i < process_.threads.size(); ++i) {
    image::ThreadRecord& thread = *record.add_threads();
    questions_[i].read(boxes_[i], thread, process_.slot(i).frame);
    CK_TRY(capture_thread(process_, i, thread));
  }
  return {};
}

// What only the process itself could be asked for.
Status ProcessCapture::refuse_unasked() const {
  const std::string of = "process " + to_string(process_.pid) + " (" + process_.status.name + ")";
  if (answer_or_0(boxes_[0], ldt_) != 0)
    return make_error(ErrorKind::kRefused, of + " has segments of its own (modify_ldt)");
  for (std::size_t i = 1; i < boxes_.size(); ++i)
    if (questions_[i].securebits(boxes_[i]) != questions_[0].securebits(boxes_[0]))
      return make_error(ErrorKind::kRefused, "thread " + to_string(process_.threads[i].real) +
                                                 " of " + of + " has securebits of its own");
  return {};
}

Status ProcessCapture::capture(image::ProcessRecord& record, image::ClockRecord& clocks) {
  CK_TRY(fill_from_proc(process_, record));
  CK_TRY(await_answers());
  CK_TRY(refuse_unasked());
  read_attributes(record, clocks);
  read_signal_actions(record);
  const auto intervals = boxes_[0].value_at<IntervalTimers>(timers_);
  std::vector<std::uint64_t> pending;
  for (std::size_t i = 0; i < boxes_.size(); ++i)
    pending.push_back(questions_[i].pending(boxes_[i]));
  settle_restarts(process_, record);
  CK_TRY(capture_threads(record));
  CK_TRY(capture_timers_and_signals(process_, intervals, pending, record));
  fill_agent(process_, *record.mutable_agent());
  fill_pending(process_.area(), process_.pending, record, *record.mutable_pending());
  for (std::size_t i = 0; i < process_.threads.size(); ++i)
    fill_pending(process_.area(), process_.threads[i].pending, record,
                 *record.mutable_threads(static_cast<int>(i))->mutable_pending());
  if (process_.leader_exited) {
    auto* leader = record.add_threads();
    leader->set_tid(process_.virtual_pid.value);
    leader->set_exited(true);
    leader->set_name(CK_TRY(proc::read_stat(process_.pid)).name);
    for (int i = record.threads_size() - 1; i > 0; --i)
      record.mutable_threads()->SwapElements(i, i - 1);
  }
  return {};
}

}  // namespace ck::capture
