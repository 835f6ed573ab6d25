#include "runtime/capture/freeze.h"

#include <elf.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <thread>

#include "runtime/base/log.h"
#include "runtime/capture/frame.h"
#include "runtime/capture/id_calls.h"
#include "runtime/capture/seccomp.h"
#include "runtime/proc/proc_file.h"
#include "runtime/proc/slot_state.h"
#include "runtime/proc/tasks.h"

namespace ck::capture {

using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

// Longer than any thread takes to reach a stop, unless it is in an uninterruptible wait.
constexpr milliseconds kStopTime{250};
// As long as others of the job stand still for one that is being started.
constexpr milliseconds kSettleTime{1000};
constexpr milliseconds kAnswerTime{1000};
constexpr milliseconds kLeastAnswerTime{1000};
constexpr milliseconds kCollectTime{2};
constexpr milliseconds kAskAgainTime{50};
constexpr milliseconds kLetGoTime{1000};
constexpr std::chrono::microseconds kBetweenAttempts{300};
constexpr std::chrono::microseconds kInVdso{30};
// Of a process that does not answer, in milliseconds: a look costs more than most answers.
constexpr int kLooksBetween = 10;
constexpr std::string_view kAgent = "/libckrun.so";

template <typename T>
bool peek(RealPid pid, std::uint64_t address, T& value) {
  iovec here{&value, sizeof value};
  iovec there{reinterpret_cast<void*>(address), sizeof value};
  return ::process_vm_readv(pid.value, &here, 1, &there, 1, 0) ==
         static_cast<ssize_t>(sizeof value);
}

template <typename T>
bool poke(RealPid pid, std::uint64_t address, const T& value) {
  iovec here{const_cast<T*>(&value), sizeof value};
  iovec there{reinterpret_cast<void*>(address), sizeof value};
  return ::process_vm_writev(pid.value, &here, 1, &there, 1, 0) ==
         static_cast<ssize_t>(sizeof value);
}

const proc::Mapping* mapping_at(const std::vector<proc::Mapping>& mappings, std::uint64_t address) {
  auto after =
      std::upper_bound(mappings.begin(), mappings.end(), address,
                       [](std::uint64_t a, const proc::Mapping& m) { return a < m.begin; });
  if (after == mappings.begin()) return nullptr;
  --after;
  return after->contains(address) ? &*after : nullptr;
}

// What of a stopped thread's memory is looked at, in one system call where all of it is readable.
struct Glance {
  std::uint64_t record = 0;        // address of the thread's TimedCall, or 0
  std::uint64_t rseq_section = 0;  // address of the critical section that it is in, or 0
  std::uint8_t code[7] = {};       // what stands before the next instruction

  static constexpr std::uint64_t kSectionPointer = 8;  // offset of rseq_cs in struct rseq

  static Glance of(RealPid pid, const user_regs_struct& registers, const RseqState& rseq,
                   std::int64_t record_offset) {
    Glance seen;
    const auto remote = [](std::uint64_t at) { return reinterpret_cast<void*>(at); };
    const iovec there[] = {
        {remote(registers.fs_base + static_cast<std::uint64_t>(record_offset)), 8},
        {remote(registers.rip - sizeof seen.code), sizeof seen.code},
        {remote(rseq.address + kSectionPointer), 8}};
    const iovec here[] = {
        {&seen.record, 8}, {seen.code, sizeof seen.code}, {&seen.rseq_section, 8}};
    const unsigned long count = rseq.address == 0 ? 2 : 3;
    ssize_t wanted = 0;
    for (unsigned long i = 0; i < count; ++i) wanted += static_cast<ssize_t>(here[i].iov_len);
    if (::process_vm_readv(pid.value, here, count, there, count, 0) == wanted) return seen;
    for (unsigned long i = 0; i < count; ++i)
      if (::process_vm_readv(pid.value, &here[i], 1, &there[i], 1, 0) !=
          static_cast<ssize_t>(here[i].iov_len))
        std::memset(here[i].iov_base, 0, here[i].iov_len);
    return seen;
  }
};

// The record of the blocking call that the thread is in, if it is a true one (see timed_call.h).
struct FoundRecord {
  std::uint64_t address = 0;
  abi::TimedCall call{};
};

std::optional<FoundRecord> find_record(RealPid pid, const user_regs_struct& registers,
                                       std::uint64_t address) {
  FoundRecord found{address, {}};
  if (address < registers.rsp || !peek(pid, address, found.call) ||
      found.call.magic != abi::kTimedCallMagic)
    return std::nullopt;
  const auto number = static_cast<std::int64_t>(registers.orig_rax);
  if (number != found.call.number && number != SYS_restart_syscall) return std::nullopt;
  return found;
}

std::uint64_t* argument(abi::SignalFrame& frame, std::uint32_t index) {
  switch (index) {
    case 0:
      return &frame.rdi;
    case 1:
      return &frame.rsi;
    case 2:
      return &frame.rdx;
    case 3:
      return &frame.r10;
    case 4:
      return &frame.r8;
    case 5:
      return &frame.r9;
    default:
      return nullptr;
  }
}

// A relative time-out would start anew with the call: it gets what remains.
void set_remaining_time(RealPid pid, const FoundRecord& record, std::int64_t now,
                        abi::SignalFrame& frame) {
  const std::int64_t remaining = std::max<std::int64_t>(record.call.deadline_ns - now, 0);
  std::uint64_t* place = argument(frame, record.call.index);
  if (place == nullptr) return;
  if (record.call.form == abi::kMilliseconds) {
    *place = static_cast<std::uint64_t>((remaining + 999'999) / 1'000'000);
  } else if (record.call.form == abi::kTimespec) {
    const std::int64_t timespec[2] = {remaining / 1'000'000'000, remaining % 1'000'000'000};
    (void)poke(pid, record.address + offsetof(abi::TimedCall, timespec), timespec);
  }
}

// "mov $number, %eax; syscall", as examine() looks for it.
void write_call(std::int64_t number, std::uint8_t (&code)[7]) {
  const auto value = static_cast<std::int32_t>(number);
  code[0] = 0xb8;
  std::memcpy(code + 1, &value, sizeof value);
  code[5] = 0x0f;
  code[6] = 0x05;
}

// A thread that the scheduler takes out of an rseq critical section goes to its abort handler; the
// diversion hides the section from the kernel, so the same is done here (linux/rseq.h).
void leave_rseq_section(RealPid pid, const RseqState& rseq, std::uint64_t address,
                        abi::SignalFrame& frame) {
  struct {
    std::uint32_t version, flags;
    std::uint64_t start, length, abort;
  } section{};
  if (address == 0 || !peek(pid, address, section)) return;
  if (frame.rip - section.start < section.length) frame.rip = section.abort;
  (void)poke(pid, rseq.address + Glance::kSectionPointer, std::uint64_t{0});
}

// ld-linux-x86-64.so.2 is a link to ld-2.xx.so before glibc 2.34.
bool is_loader(const std::string& path) {
  return path.find("/ld-linux-x86-64.so") != std::string::npos ||
         path.find("/ld-2.") != std::string::npos;
}

// ld.so(8), "secure-execution mode".
Result<bool> is_secure(RealPid process) {
  const std::string vector = CK_TRY(proc::read_proc(process, "auxv"));
  Elf64_auxv_t entry{};
  for (std::size_t at = 0; at + sizeof entry <= vector.size(); at += sizeof entry) {
    std::memcpy(&entry, vector.data() + at, sizeof entry);
    if (entry.a_type == AT_SECURE) return entry.a_un.a_val != 0;
  }
  return false;
}

// Whether a program that is started with this environment (proc(5)) loads the agent for `area`.
bool passes_agent(const std::string& environment, const std::string& area) {
  bool has_area = false;
  bool has_agent = false;
  for (std::size_t begin = 0; begin < environment.size();) {
    const std::string entry(environment.c_str() + begin);
    has_area |= entry == abi::kAreaVariable + ("=" + area);
    has_agent |= entry.starts_with("LD_PRELOAD=") && entry.find(kAgent) != std::string::npos;
    begin += entry.size() + 1;
  }
  return has_area && has_agent;
}

}  // namespace

std::int64_t monotonic_of(RealPid pid) {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  std::int64_t seconds = 0;
  std::int64_t nanoseconds = 0;
  std::ifstream offsets("/proc/" + to_string(pid) + "/timens_offsets");
  std::string clock;
  if (!(offsets >> clock >> seconds >> nanoseconds) || clock != "monotonic")
    seconds = nanoseconds = 0;
  return (now.tv_sec + seconds) * 1'000'000'000 + now.tv_nsec + nanoseconds;
}

Result<RealPid> living_thread(RealPid pid) {
  const std::vector<RealPid> threads = CK_TRY(proc::read_program_threads(pid));
  for (RealPid thread : threads) {
    const Result<proc::ProcessStatus> status = proc::read_status(thread);
    if (status.ok() && status->vm_size != 0) return thread;
  }
  return pid;
}

Result<std::optional<Uncontrolled>> why_uncontrolled(RealPid process,
                                                     const std::vector<proc::Mapping>& mappings,
                                                     const std::string& area) {
  using Answer = std::optional<Uncontrolled>;
  const bool has_loader = std::any_of(mappings.begin(), mappings.end(),
                                      [](const auto& mapping) { return is_loader(mapping.path); });
  // The loader is mapped by execve itself.
  const Result<std::string> exe = proc::read_proc_link(process, "exe");
  if (!has_loader && exe.ok() && !is_loader(*exe))
    return Answer(
        {"runs without the agent: its program is statically linked, or not for x86-64 "
         "and glibc",
         "--allow-uncontrolled leaves it out of the image"});
  // The loader then takes no library from LD_PRELOAD, and removes that for what is started later.
  const Result<bool> secure = is_secure(process);
  const Result<std::string> environment = proc::read_proc(process, "environ");
  // Without memory there is nothing to read, and nothing that runs.
  const Result<proc::ProcessStatus> status = proc::read_status(process);
  if (status.ok() && status->vm_size == 0) return Answer();
  if (CK_TRY(secure))
    return Answer({"runs without the agent: its program is setuid, setgid or has file capabilities",
                   "--allow-uncontrolled leaves it out of the image"});
  if (!passes_agent(CK_TRY(environment), area))
    return Answer(
        {"runs without the agent: it was started with an environment that lacks it",
         "programs start others through execve(2), posix_spawn(3) and their kin of libc"});
  return Answer();
}

bool listens_to(const proc::ProcessStatus& status, int signal) {
  const std::uint64_t bit = signal == 0 ? 0 : std::uint64_t{1} << (signal - 1);
  return (status.caught & ~status.blocked & bit) != 0;
}

std::optional<std::string> other_user(const proc::ProcessStatus& status,
                                      const proc::ProcessStatus& supervisor) {
  const auto ids = [](const auto& four) {
    std::string text;
    for (auto id : four) text += (text.empty() ? "" : ", ") + std::to_string(id);
    return text;
  };
  if (status.uids != supervisor.uids)
    return "runs as user " + std::to_string(status.uids[1]) +
           ", not as ckrun does (real, effective, saved and file system ids: " + ids(status.uids) +
           "); ids that a job has changed are not kept";
  if (status.gids != supervisor.gids)
    return "runs as group " + std::to_string(status.gids[1]) +
           ", not as ckrun does (real, effective, saved and file system ids: " + ids(status.gids) +
           "); ids that a job has changed are not kept";
  return std::nullopt;
}

Status FrozenProcess::begin_stop() {
  CK_TRY(become_traceable());
  if (const Result<proc::ProcessStatus> now = proc::read_status(pid); now.ok())
    own_child_ = now->ppid == RealPid(::getpid());
  bool found_new = false;
  return seize_new(found_new);
}

Result<FrozenProcess::Standing> FrozenProcess::stop(std::string& obstacle) {
  const Deadline stop_by = std::min(deadline_, steady_clock::now() + kStopTime);
  const Deadline settle_by = std::min(deadline_, steady_clock::now() + kSettleTime);
  for (;;) {
    const Standing standing = CK_TRY(stop_all(stop_by, obstacle));
    if (standing == Standing::kEnded) return standing;
    if (standing == Standing::kStopped && CK_TRY(leave_vdso(obstacle)) &&
        CK_TRY(find_agent(obstacle))) {
      if (CK_TRY(leave_id_handlers(obstacle)) && CK_TRY(can_park(obstacle))) {
        CK_TRY(read_statuses());
        return Standing::kStopped;
      }
    }
    if (standing == Standing::kNotYet && steady_clock::now() >= stop_by) return Standing::kStuck;
    let_go();
    spdlog::debug("freeze of {}: {}", pid.value, obstacle);
    if (steady_clock::now() >= settle_by) return Standing::kNotYet;
    std::this_thread::sleep_for(kBetweenAttempts);
    CK_TRY(begin_stop());
  }
}

Status FrozenProcess::park(unsigned first_slot) {
  first_slot_ = first_slot;
  const std::int64_t now = monotonic_of(witness);
  pending = CK_TRY(traced_.front().queued_signals(true));
  for (std::size_t i = 0; i < traced_.size(); ++i) CK_TRY(prepare(i, now));
  return divert();
}

Status FrozenProcess::await_parked() {
  for (std::size_t i = 0; i < threads.size(); ++i) CK_TRY(mailbox(i).wait_parked());
  return {};
}

// The kernel shows an undumpable process to root alone, in /proc and to ptrace (proc(5)). The agent
// is asked to make it dumpable for as long as the freeze lasts; the request signal's handler does
// so.
Status FrozenProcess::become_traceable() {
  struct stat folder {};
  if (dumpable_was >= 0 || ::geteuid() == 0) return {};
  const Result<RealPid> found = living_thread(pid);
  if (!found.ok()) return {};  // it has just ended, which stop_all() tells
  const RealPid thread = *found;
  if (::stat(("/proc/" + to_string(thread) + "/maps").c_str(), &folder) != 0 ||
      folder.st_uid == ::geteuid())
    return {};
  const Result<proc::ProcessStatus> now = proc::read_status(thread);
  if (!now.ok() || now->vm_size == 0) return {};  // it is just ending
  uncontrolled = true;
  const std::string who = "process " + to_string(pid) + " (" + now->name + ") ";
  if (const auto reason = other_user(*now, CK_TRY(proc::read_status(RealPid(::getpid())))))
    return make_error(ErrorKind::kRefused, who + *reason);
  const int request = area_.header()->request_signal;
  const Error refusal = make_error(ErrorKind::kRefused, who + kOutOfReach);
  if (!listens_to(*now, request)) return refusal;
  uncontrolled = false;
  abi::AreaHeader& header = *area_.header();
  header.dumpable_was = 0;
  __atomic_store_n(&header.dumpable_wanted, area_.virtual_id(now->ns_tgid.back()),
                   __ATOMIC_RELEASE);
  if (::kill(pid.value, request) != 0) return sys_error("signal process " + to_string(pid));
  const Deadline answer_by = std::min(deadline_, steady_clock::now() + kAnswerTime);
  while (__atomic_load_n(&header.dumpable_was, __ATOMIC_ACQUIRE) == 0) {
    if (steady_clock::now() >= answer_by) {
      __atomic_store_n(&header.dumpable_wanted, 0, __ATOMIC_RELEASE);
      return refusal;
    }
    std::this_thread::sleep_for(kBetweenAttempts);
  }
  dumpable_was = header.dumpable_was - 1;
  return {};
}

Status FrozenProcess::seize_new(bool& found_new) {
  Result<std::vector<RealPid>> tids = proc::read_threads(pid);
  if (!tids.ok()) return {};
  // The leader first: it stands first in the image.
  std::stable_partition(tids->begin(), tids->end(), [&](RealPid tid) { return tid == pid; });
  for (RealPid tid : *tids) {
    if (std::find(seen_.begin(), seen_.end(), tid) != seen_.end()) continue;
    seen_.push_back(tid);
    if (proc::is_kernels_own(pid, tid)) continue;
    found_new = true;
    std::optional<TracedThread> thread =
        CK_TRY(TracedThread::seize(tid, pid, own_child_ && tid == pid));
    if (thread)
      traced_.push_back(std::move(*thread));
    else if (tid == pid)
      leader_exited = true;
  }
  return {};
}

// A thread that calls execve waits until all others have ended, and a traced one has not ended
// before its tracer has collected it. Of a process of several threads that calls execve the kernel
// now and then forgets that it was asked to stop (one in 50,000 on Linux 6.18).
Result<TracedThread::Stop> FrozenProcess::wait_stopped(std::size_t thread, Deadline stop_by) {
  Deadline ask_again = steady_clock::now() + kAskAgainTime;
  for (;;) {
    const Deadline look_by = std::min(stop_by, steady_clock::now() + kCollectTime);
    Result<TracedThread::Stop> stop = traced_[thread].wait_stopped(look_by);
    if (stop.ok() || look_by == stop_by) return stop;
    for (std::size_t other = 0; other < traced_.size(); ++other)
      if (other != thread) traced_[other].collect();
    if (steady_clock::now() < ask_again) continue;
    (void)traced_[thread].interrupt();
    ask_again = steady_clock::now() + kAskAgainTime;
  }
}

// Only what has stopped can be detached. What is left traced here would be in the way later.
void FrozenProcess::let_go() {
  const Deadline stop_by = steady_clock::now() + kLetGoTime;
  for (std::size_t i = 0; i < traced_.size(); ++i)
    if (!traced_[i].stopped()) (void)wait_stopped(i, stop_by);
  traced_.clear();
  seen_.clear();
  settled_ = 0;
}

// Until a look at the list of threads finds no new one: a stopped thread starts no other.
Result<FrozenProcess::Standing> FrozenProcess::stop_all(Deadline stop_by, std::string& obstacle) {
  job_stopped = false;
  for (;;) {
    for (; settled_ < traced_.size(); ++settled_) {
      Result<TracedThread::Stop> stop = wait_stopped(settled_, stop_by);
      if (!stop.ok()) {
        obstacle = stop.error().message;
        return Standing::kNotYet;
      }
      if (*stop == TracedThread::Stop::kGroupStopped) job_stopped = true;
      if (*stop == TracedThread::Stop::kGone) {
        obstacle = "a thread ended meanwhile";
        return Standing::kNotYet;
      }
    }
    bool found_new = false;
    CK_TRY(seize_new(found_new));
    if (!found_new) break;
  }
  if (traced_.empty()) return Standing::kEnded;
  witness = traced_.front().tid();
  return Standing::kStopped;
}

// A thread must not stand in the vdso: at the restart another may be in its place. Each that does
// goes on for a moment, while the rest stays stopped: of many threads that read clocks all the
// time, no attempt from the beginning would find all outside.
Result<bool> FrozenProcess::leave_vdso(std::string& obstacle) {
  mappings = CK_TRY(proc::read_maps(witness));
  const auto vdso = std::find_if(mappings.begin(), mappings.end(),
                                 [](const auto& m) { return m.path == "[vdso]"; });
  if (job_stopped || vdso == mappings.end()) return true;
  const Deadline leave_by = std::min(deadline_, steady_clock::now() + kStopTime);
  bool moved = false;
  for (std::size_t i = 0; i < traced_.size(); ++i) {
    TracedThread& thread = traced_[i];
    while (vdso->contains(CK_TRY(thread.registers()).rip)) {
      obstacle = "thread " + to_string(thread.tid()) + " is in the vdso";
      if (steady_clock::now() >= leave_by) return false;
      moved = true;
      if (!thread.resume().ok()) return false;
      std::this_thread::sleep_for(kInVdso);  // an interrupt at once would stop it where it is
      if (!thread.interrupt().ok()) return false;
      Result<TracedThread::Stop> stop = wait_stopped(i, leave_by);
      if (!stop.ok()) obstacle = stop.error().message;
      if (!stop.ok() || *stop != TracedThread::Stop::kTrapped) return false;
    }
  }
  if (!moved) return true;
  obstacle = "a thread was started or ended meanwhile";
  mappings = CK_TRY(proc::read_maps(witness));
  return CK_TRY(proc::read_program_threads(pid)).size() == traced_.size() + (leader_exited ? 1 : 0);
}

// The page of the agent in the program that runs now (see abi::AgentPage).
Result<bool> FrozenProcess::find_agent(std::string& obstacle) {
  status = CK_TRY(proc::read_status(witness));
  inner_pid = status.ns_tgid.empty() ? pid.value : status.ns_tgid.back();
  virtual_pid = VirtualPid(area_.virtual_id(inner_pid));
  const ino_t area_inode = CK_TRY(area_.inode());
  for (const proc::Mapping& mapping : mappings) {
    if (mapping.inode != area_inode || mapping.offset != 0 || !mapping.shared) continue;
    if (!peek(witness, mapping.begin - abi::kAgentPageBytes, agent) || agent.magic != abi::kMagic ||
        agent.ready == 0 || agent.area != mapping.begin)
      continue;
    const proc::Mapping* code = mapping_at(mappings, agent.serve);
    if (code != nullptr && (code->prot & PROT_EXEC) && agent.version == abi::kVersion) return true;
  }
  CK_TRY(refuse_uncontrolled());
  obstacle = "its agent is not ready (the program is being started)";
  return false;
}

// All of them before can_park() looks where they are. One that has much to do there (a new child's
// id, when most are taken) gets on faster untraced.
Result<bool> FrozenProcess::leave_id_handlers(std::string& obstacle) {
  if (!area_.has_virtual_ids()) return true;
  bool moved = false;
  for (TracedThread& thread : traced_) {
    if (in_serve_loop(CK_TRY(thread.registers()))) continue;
    const Result<bool> left =
        leave_id_handler(thread, agent, std::min(deadline_, steady_clock::now() + kStopTime));
    if (!left.ok() && left.error().kind != ErrorKind::kTryAgain) return left.error();
    if (!left.ok()) {
      obstacle = left.error().message + " within the handler of its ids";
      CK_TRY(thread.interrupt());
      return false;
    }
    moved |= *left;
  }
  if (moved) mappings = CK_TRY(proc::read_maps(witness));  // its stack may have grown
  return true;
}

// Without the agent, and not because it is just being started.
Status FrozenProcess::refuse_uncontrolled() {
  uncontrolled = true;
  const std::string who = "process " + to_string(pid) + " (" + status.name + ") ";
  const auto why = CK_TRY(why_uncontrolled(witness, mappings, area_.header()->path));
  if (why) return make_error(ErrorKind::kRefused, who + why->reason, why->advice);
  // To the agent of another user the control area is closed.
  if (const auto reason = other_user(status, CK_TRY(proc::read_status(RealPid(::getpid())))))
    return make_error(ErrorKind::kRefused, who + *reason);
  uncontrolled = false;
  return {};
}

bool FrozenProcess::in_serve_loop(const user_regs_struct& registers) const {
  return registers.rip >= agent.code_begin && registers.rip < agent.code_end;
}

Result<bool> FrozenProcess::can_park(std::string& obstacle) {
  for (TracedThread& thread : traced_) {
    user_regs_struct registers = CK_TRY(thread.registers());
    // Stopped by somebody on its way out: only traced does it get there.
    if (job_stopped && in_serve_loop(registers) &&
        thread.run_to_sigreturn(steady_clock::now() + kStopTime).ok())
      registers = CK_TRY(thread.registers());
    const proc::Mapping* code = mapping_at(mappings, registers.rip);
    if (in_serve_loop(registers)) {
      obstacle = "thread " + to_string(thread.tid()) + " is still leaving the last freeze";
      return false;
    }
    if (code != nullptr && code->path == "[vdso]") {  // of a stopped program: see leave_vdso()
      obstacle = "thread " + to_string(thread.tid()) + " is in the vdso";
      return false;
    }
    if (registers.cs == 0x23)
      return make_error(ErrorKind::kRefused, "thread " + to_string(thread.tid()) + " of process " +
                                                 to_string(pid) + " runs 32-bit code");
  }
  return true;
}

Status FrozenProcess::read_statuses() {
  statuses_.clear();
  for (const TracedThread& thread : traced_) {
    statuses_.push_back(CK_TRY(proc::read_status(thread.tid())));
    CK_TRY(refuse_seccomp(statuses_.back()));
    CK_TRY(refuse_credentials(statuses_.back()));
    // The agent's own calls would be sent to the program.
    if (CK_TRY(thread.dispatches_calls()))
      return make_error(ErrorKind::kRefused,
                        "thread " + to_string(thread.tid()) + " of process " + to_string(pid) +
                            " (" + status.name +
                            ") has its system calls dispatched (PR_SET_SYSCALL_USER_DISPATCH)");
  }
  return {};
}

Status FrozenProcess::refuse_credentials(const proc::ProcessStatus& of_thread) const {
  static const Result<proc::ProcessStatus> own = proc::read_status(RealPid(::getpid()));
  if (!own.ok()) return own.error();
  auto reason = other_credentials(statuses_.front(), of_thread);
  if (!reason) reason = other_user(of_thread, *own);
  if (!reason) return {};
  return make_error(ErrorKind::kRefused, "thread " + to_string(of_thread.pid) + " of process " +
                                             to_string(pid) + " (" + status.name + ") " + *reason);
}

Status FrozenProcess::refuse_apart() const {
  std::vector<RealPid> all;
  for (const TracedThread& thread : traced_) all.push_back(thread.tid());
  const auto apart = find_apart(all, noted_namespaces(*area_.header()));
  if (!apart) return {};
  const std::string who = apart->thread == pid ? "" : "thread " + to_string(apart->thread) + " of ";
  return make_error(ErrorKind::kRefused,
                    who + "process " + to_string(pid) + " (" + status.name + ") " + apart->reason);
}

// Before any thread is diverted: a filter may kill the process at the agent's first system call.
Status FrozenProcess::refuse_seccomp(const proc::ProcessStatus& of_thread) const {
  static const Result<proc::ProcessStatus> own = proc::read_status(RealPid(::getpid()));
  if (!own.ok()) return own.error();
  if (!has_own_seccomp(of_thread, *own, area_.has_virtual_ids())) return {};
  return make_error(ErrorKind::kRefused, "thread " + to_string(of_thread.pid) + " of process " +
                                             to_string(pid) + " " + kSeccompReason);
}

Status FrozenProcess::prepare(std::size_t index, std::int64_t monotonic_now) {
  const TracedThread& traced = traced_[index];
  const proc::ProcessStatus& of_thread = statuses_[index];
  const user_regs_struct registers = CK_TRY(traced.registers());
  registers_.push_back(registers);
  const std::vector<std::byte> xstate = CK_TRY(traced.xstate());
  FrozenThread thread;
  thread.real = traced.tid();
  thread.name = of_thread.name;
  thread.slot = first_slot_ + static_cast<unsigned>(threads.size());
  thread.fs_base = registers.fs_base;
  thread.gs_base = registers.gs_base;
  thread.xstate_size = static_cast<std::uint32_t>(xstate.size());
  thread.rseq = CK_TRY(traced.rseq());
  thread.pending = CK_TRY(traced.queued_signals(false));
  thread.inner = of_thread.ns_pid.empty() ? thread.real.value : of_thread.ns_pid.back();
  thread.tid = VirtualPid(area_.virtual_id(thread.inner));

  abi::ThreadSlot& slot = *area_.slot(thread.slot);
  slot.tid = thread.tid.value;
  slot.self_released = 0;
  slot.orphan_exits = 0;
  slot.eintr_signals = 0;
  const std::uint64_t address =
      agent.area + abi::kSlotsOffset + std::uint64_t{thread.slot} * abi::kSlotStride;
  Glance seen = Glance::of(witness, registers, thread.rseq, agent.timed_call);
  const std::optional<FoundRecord> record = find_record(witness, registers, seen.record);
  std::optional<StubCall> stub;
  if (area_.has_virtual_ids()) stub = find_stub_call(witness, registers, agent);
  if (stub) write_call(stub->record.number, seen.code);
  const InterruptedCall call = examine(registers, record ? &record->call : nullptr, seen.code);
  thread.restart = call.restart;
  // The program's own call is made again, with ids as they are then.
  user_regs_struct own = registers;
  std::uint64_t mask = CK_TRY(traced.signal_mask());
  if (stub && (!stub->begun || call.restart != RestartClass::kNone))
    leave_stub(witness, stub->record, own, mask);
  CK_TRY(build_frame(slot, address, own, xstate, mask));
  const auto result = static_cast<std::int64_t>(registers.rax);
  if (stub && !stub->begun) {
    restart_call(slot.frame, stub->record.number);
  } else if (call.restart != RestartClass::kNone) {
    restart_call(slot.frame, call.number);
    if (record && record->call.number == call.number)
      set_remaining_time(witness, *record, monotonic_now, slot.frame);
  } else if (static_cast<std::int64_t>(registers.orig_rax) >= 0 && result <= -512 &&
             result >= -516) {
    slot.frame.rax = static_cast<std::uint64_t>(-EINTR);
  }
  leave_rseq_section(witness, thread.rseq, seen.rseq_section, slot.frame);
  threads.push_back(std::move(thread));
  return {};
}

Status FrozenProcess::divert() {
  frozen_ = true;
  for (std::size_t i = 0; i < threads.size(); ++i) {
    const std::uint64_t address =
        agent.area + abi::kSlotsOffset + std::uint64_t{threads[i].slot} * abi::kSlotStride;
    user_regs_struct registers = registers_[i];
    registers.orig_rax = static_cast<unsigned long long>(-1);  // no restart by the kernel
    registers.rip = agent.serve;
    registers.rdi = address;
    registers.rsi = agent.area;
    registers.rsp = address + offsetof(abi::ThreadSlot, stack) + abi::kStackBytes - 8;
    registers.rbp = 0;
    registers.eflags &= ~0x400ull;  // direction flag, as a function expects it
    proc::set_slot_state(slot(i), abi::kArriving);
    // In this order: should the supervisor die in between, the thread arrives in the loop, which
    // blocks all signals itself; the other way round it would run on with them blocked.
    CK_TRY(traced_[i].set_registers(registers));
    CK_TRY(traced_[i].set_signal_mask(~std::uint64_t{0}));
    if (!job_stopped)
      CK_TRY(traced_[i].detach());
    else
      CK_TRY(traced_[i].resume());
  }
  if (job_stopped) held_ = HeldThreads(std::move(traced_));
  traced_.clear();
  return {};
}

proc::Mailbox FrozenProcess::mailbox_of(unsigned slot, RealPid pid_there) const {
  proc::Mailbox box(area_, slot, agent.area, pid_there);
  box.set_answer_by(deadline_ + kLeastAnswerTime);
  return box;
}

proc::Mailbox FrozenProcess::mailbox(std::size_t thread) {
  proc::Mailbox box = mailbox_of(threads[thread].slot, threads[thread].real);
  box.set_idle([this, looks = 0]() mutable {
    held_.pump();
    if (held_.empty() && ++looks % kLooksBetween == 0) hold_if_stopped();
  });
  return box;
}

std::vector<proc::Mailbox> FrozenProcess::mailboxes() {
  std::vector<proc::Mailbox> boxes;
  for (std::size_t i = 0; i < threads.size(); ++i) boxes.push_back(mailbox(i));
  return boxes;
}

// Somebody has stopped it (SIGSTOP cannot be blocked) while it is frozen: traced it goes on.
void FrozenProcess::hold_if_stopped() {
  const Result<proc::ProcessStatus> now = proc::read_status(witness);
  if (!now.ok() || now->state != 'T') return;
  spdlog::debug("process {} was stopped while it is frozen", pid.value);
  if (auto held = HeldThreads::seize(pid, steady_clock::now() + kStopTime); held.ok())
    held_ = std::move(*held);
}

Status FrozenProcess::thaw() {
  if (!frozen_) return {};
  frozen_ = false;
  if (dumpable_was >= 0) {
    proc::Mailbox box = mailbox();
    if (box.wait_parked().ok())
      (void)box.call("make it undumpable again", SYS_prctl, PR_SET_DUMPABLE, dumpable_was);
    dumpable_was = -1;
  }
  const Deadline leave_by = steady_clock::now() + kLeastAnswerTime;
  if (!held_.empty()) CK_TRY(held_.stop(leave_by));
  for (std::size_t i = 0; i < threads.size(); ++i) {
    if (__atomic_load_n(&slot(i).state, __ATOMIC_ACQUIRE) == abi::kFree) continue;
    proc::set_slot_state(slot(i), abi::kRelease);
    if (!held_.empty()) CK_TRY(held_.leave(threads[i].real, leave_by));
  }
  held_.let_go();
  return {};
}

Status FrozenProcess::die_with_supervisor(bool dies) {
  for (std::size_t i = 0; i < threads.size(); ++i)
    __atomic_store_n(&slot(i).orphan_exits, dies ? 1u : 0u, __ATOMIC_RELEASE);
  if (held_.empty()) return {};
  // Untraced they would be stopped again, and not look after the supervisor.
  CK_TRY(held_.stop(steady_clock::now() + kLeastAnswerTime));
  CK_TRY(held_.die_with_tracer(dies));
  return held_.resume();
}

void FrozenProcess::kill() {
  ::kill(pid.value, SIGKILL);
  frozen_ = false;
}

FrozenProcess::~FrozenProcess() {
  if (steady_clock::now() < deadline_) let_go();
  for (TracedThread& thread : traced_) thread.leave_to_kernel();
  (void)thaw();
}

}  // namespace ck::capture
