#include "runtime/restore/restore_process.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <linux/prctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstring>

#include "runtime/abi/sigaction.h"
#include "runtime/base/timespec.h"
#include "runtime/proc/proc_file.h"
#include "runtime/proc/virtual_ids.h"
#include "runtime/restore/virtual_process.h"

#ifndef PR_TIMER_CREATE_RESTORE_IDS
#define PR_TIMER_CREATE_RESTORE_IDS 77
#define PR_TIMER_CREATE_RESTORE_IDS_OFF 0
#define PR_TIMER_CREATE_RESTORE_IDS_ON 1
#endif

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#endif

namespace ck::restore {

using proc::Mailbox;

namespace {

constexpr int kMaxTimerId = 100000;  // how far to count on kernels that cannot be told the id

// RLIMIT_CPU and so on, as prlimit(1) calls them.
constexpr const char* kLimitNames[] = {
    "CPU time",       "file size",         "data size",          "stack size",
    "core file size", "resident set size", "processes",          "open files",
    "locked memory",  "address space",     "file locks",         "pending signals",
    "message queues", "nice priority",     "real-time priority", "real-time timeout"};

std::string limit_name(std::uint32_t resource) {
  return resource < std::size(kLimitNames) ? kLimitNames[resource]
                                           : "resource " + std::to_string(resource);
}

abi::KernelSigaction kernel_action(const image::SignalActionRecord& action,
                                   const abi::AgentPage* page) {
  const abi::KernelSigaction own{action.handler(), action.flags(), action.restorer(),
                                 action.mask()};
  return page == nullptr ? own : stand_before(*page, own);
}

Status set_signal_actions(Mailbox& box, const image::ProcessRecord& process,
                          const abi::AgentPage* page) {
  box.clear();
  for (const image::SignalActionRecord& action : process.signal_actions()) {
    if (action.number() == SIGKILL || action.number() == SIGSTOP) continue;
    if (page != nullptr && action.number() == SIGSYS) continue;  // ours
    box.add(SYS_rt_sigaction, action.number(), box.put_value(kernel_action(action, page)), 0, 8);
  }
  CK_TRY(box.run());
  return box.expect_all("set signal dispositions");
}

Status set_folders(Mailbox& box, const image::ProcessRecord& process) {
  if (process.root() != "/" && !process.root().empty())
    CK_TRY(box.call("chroot to " + process.root(), SYS_chroot, box.put_string(process.root())));
  // So the kernel shows one that was removed.
  constexpr std::string_view kDeleted = " (deleted)";
  std::string cwd = process.cwd();
  if (cwd.ends_with(kDeleted) && ::access(cwd.c_str(), F_OK) != 0)
    cwd.resize(cwd.size() - kDeleted.size());
  Result<std::int64_t> changed =
      box.call("enter the working directory " + cwd, SYS_chdir, box.put_string(cwd));
  if (!changed.ok())
    return std::move(changed).error().with_hint("make the directory again, then restart");
  return {};
}

sigevent event_of(const image::PosixTimerRecord& timer, const ControlArea& area) {
  sigevent event{};
  event.sigev_notify = timer.notify();
  event.sigev_signo = timer.signal();
  event.sigev_value.sival_ptr = reinterpret_cast<void*>(timer.value());
  event._sigev_un._tid = area.real_id(timer.tid());
  return event;
}

// Linux 6.16 takes the id; before that ids count up, so timers are made and deleted until it comes.
Status create_timer(Mailbox& box, const image::PosixTimerRecord& timer) {
  box.clear();
  const Mailbox::Address id = box.put_value<std::int32_t>(timer.id());
  const Mailbox::Address event = box.put_value(event_of(timer, box.area()));
  const auto told =
      box.add(SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_ON, 0, 0, 0);
  told.stop_on_error();
  const auto created = box.add(SYS_timer_create, timer.clock(), event, id);
  box.add(SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_OFF, 0, 0, 0);
  CK_TRY(box.run());
  if (box.result(told) >= 0) {
    if (box.result(created) == 0 && box.value_at<std::int32_t>(id) == timer.id()) return {};
    return sys_error("create POSIX timer " + std::to_string(timer.id()),
                     static_cast<int>(-box.result(created)));
  }
  for (int tries = 0; tries < kMaxTimerId; ++tries) {
    box.clear();
    const Mailbox::Address next_id = box.reserve(4);
    const Mailbox::Address next_event = box.put_value(event_of(timer, box.area()));
    CK_TRY(box.call("create a POSIX timer", SYS_timer_create, timer.clock(), next_event, next_id));
    const int got = box.value_at<std::int32_t>(next_id);
    if (got == timer.id()) return {};
    CK_TRY(box.call("delete a POSIX timer", SYS_timer_delete, got));
    if (got > timer.id()) break;
  }
  return make_error(ErrorKind::kRefused,
                    "POSIX timer id " + std::to_string(timer.id()) + " cannot be had");
}

Status start_timers(Mailbox& box, const image::ProcessRecord& process) {
  for (const image::PosixTimerRecord& timer : process.posix_timers()) {
    if (timer.remaining_ns() == 0) continue;
    box.clear();
    const itimerspec setting{to_timespec(timer.interval_ns()), to_timespec(timer.remaining_ns())};
    CK_TRY(
        box.call("arm a POSIX timer", SYS_timer_settime, timer.id(), 0, box.put_value(setting), 0));
  }
  for (const image::IntervalTimerRecord& timer : process.interval_timers()) {
    auto to_timeval = [](std::int64_t us) { return timeval{us / 1'000'000, us % 1'000'000}; };
    box.clear();
    // One that repeats and does not run has fired: the kernel starts it when SIGALRM is taken
    // (kernel/signal.c, dequeue_signal). So it has to fire again, into the signal that waits.
    const bool has_fired = timer.which() == ITIMER_REAL && timer.remaining_us() == 0;
    const itimerval setting{to_timeval(timer.interval_us()),
                            to_timeval(has_fired ? 1 : timer.remaining_us())};
    CK_TRY(
        box.call("arm an interval timer", SYS_setitimer, timer.which(), box.put_value(setting), 0));
  }
  return {};
}

Status set_layout(Mailbox& box, const image::ProcessRecord& process, int exe_fd) {
  const image::MemoryLayoutRecord& layout = process.layout();
  prctl_mm_map map{};
  map.start_code = layout.start_code();
  map.end_code = layout.end_code();
  map.start_data = layout.start_data();
  map.end_data = layout.end_data();
  map.start_brk = layout.start_brk();
  map.brk = layout.brk();
  map.start_stack = layout.start_stack();
  map.arg_start = layout.arg_start();
  map.arg_end = layout.arg_end();
  map.env_start = layout.env_start();
  map.env_end = layout.env_end();
  map.auxv_size = static_cast<__u32>(layout.auxv().size());
  map.exe_fd = static_cast<__u32>(exe_fd);
  box.clear();
  map.auxv = reinterpret_cast<__u64*>(box.put(std::as_bytes(std::span(layout.auxv()))));
  CK_TRY(box.call("set the memory layout", SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, box.put_value(map),
                  sizeof map, 0));
  return {};
}

constexpr std::uint32_t kKeepCaps = 1 << 4;  // SECBIT_KEEP_CAPS

std::vector<gid_t> sorted_groups(const image::CredentialsRecord& saved) {
  std::vector<gid_t> groups(saved.groups().begin(), saved.groups().end());
  std::sort(groups.begin(), groups.end());
  return groups;
}

Status drop_bounding(Mailbox& box, std::uint64_t bounding) {
  constexpr int kLastCapability = 63;
  box.clear();
  for (int capability = 0; capability <= kLastCapability; ++capability)
    if (!(bounding >> capability & 1)) box.add(SYS_prctl, PR_CAPBSET_DROP, capability);
  // EINVAL for numbers that this kernel does not have; EPERM where there is no right to drop.
  return box.run();
}

std::vector<gid_t> own_groups() {
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(::getgroups(0, nullptr), 0)));
  const int count = ::getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<std::size_t>(std::max(count, 0)));
  std::sort(groups.begin(), groups.end());
  return groups;
}

// As the thread has been given those of the restart.
Status set_groups(Mailbox& box, const std::vector<gid_t>& groups) {
  if (::geteuid() != 0 || groups == own_groups()) return {};
  box.clear();
  const auto list = box.put(std::as_bytes(std::span(groups)));
  CK_TRY(box.call("set the supplementary groups", SYS_setgroups, groups.size(), list));
  return {};
}

Status set_securebits(Mailbox& box, std::uint32_t securebits) {
  if (securebits == 0) return {};
  box.clear();
  const auto set = box.call("set the securebits that the job has", SYS_prctl, PR_SET_SECUREBITS,
                            securebits, 0, 0, 0);
  if (set.ok()) return {};
  // Needs no right.
  if (securebits == kKeepCaps) {
    CK_TRY(box.call("keep capabilities", SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0));
    return {};
  }
  return set.error();
}

// `disabled`: 1, and flags of Linux 6.18. Before that none are known; nothing depends on where huge
// pages are.
Status set_huge_pages(Mailbox& box, std::uint32_t disabled) {
  if (disabled == 0) return {};
  box.clear();
  const auto set = box.add(SYS_prctl, PR_SET_THP_DISABLE, 1, disabled & ~1u, 0, 0);
  CK_TRY(box.run());
  if (box.result(set) >= 0) return {};
  box.clear();
  CK_TRY(box.call("disable huge pages", SYS_prctl, PR_SET_THP_DISABLE, 1, 0, 0, 0));
  return {};
}

Status queue_signals(Mailbox& box, const image::ProcessRecord& process) {
  for (const image::SignalRecord& signal : process.pending()) {
    box.clear();
    std::string siginfo = signal.siginfo();
    proc::make_real(box.area(), std::as_writable_bytes(std::span(siginfo)));
    CK_TRY(box.call("queue signal " + std::to_string(signal.number()), SYS_rt_sigqueueinfo,
                    box.area().real_id(process.pid()), signal.number(),
                    box.put(std::as_bytes(std::span(siginfo)))));
  }
  return {};
}

}  // namespace

Status set_memory_layout(Mailbox& box, const image::ProcessRecord& process, int exe_fd,
                         std::vector<std::string>& warnings) {
  if (exe_fd < 0) {
    Result<std::int64_t> opened = box.call("open " + process.exe(), SYS_openat, AT_FDCWD,
                                           box.put_string(process.exe()), O_RDONLY | O_CLOEXEC);
    if (opened.ok()) exe_fd = static_cast<int>(*opened);
  }
  Status set = exe_fd < 0 ? make_error(ErrorKind::kNotFound, "no executable")
                          : set_layout(box, process, exe_fd);
  if (set.ok()) return {};
  // Only the link to the executable needs a right (CAP_CHECKPOINT_RESTORE).
  CK_TRY(set_layout(box, process, -1));
  warnings.push_back("/proc/self/exe of the job does not lead to " + process.exe());
  return {};
}

Status set_attributes(Mailbox& box, const image::ProcessRecord& process,
                      const abi::AgentPage* page) {
  CK_TRY(set_signal_actions(box, process, page));
  CK_TRY(set_folders(box, process));
  box.clear();
  box.add(SYS_umask, process.umask());
  box.add(SYS_personality, process.personality());
  if (process.child_subreaper()) box.add(SYS_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (process.parent_death_signal() != 0)
    box.add(SYS_prctl, PR_SET_PDEATHSIG, process.parent_death_signal());
  if (process.no_new_privs()) box.add(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  for (std::uint32_t bit = 0; bit < 32; ++bit)
    if (process.membarrier() >> bit & 1) box.add(SYS_membarrier, 1u << bit, 0, 0);
  if (process.memory_merge()) box.add(SYS_prctl, PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
  if (process.mdwe() != 0) box.add(SYS_prctl, PR_SET_MDWE, process.mdwe(), 0, 0, 0);
  if (process.lock_future() != 0) box.add(SYS_mlockall, process.lock_future());
  CK_TRY(box.run());
  CK_TRY(box.expect_all("set process attributes"));
  CK_TRY(set_huge_pages(box, process.thp_disabled()));
  if (!process.has_coredump_filter()) return {};
  return proc::write_proc(box.pid(), "coredump_filter", std::to_string(process.coredump_filter()));
}

// Lower limits always work; raising a hard limit needs a right that the restart may not have.
void set_limits(RealPid pid, const image::ProcessRecord& process,
                std::vector<std::string>& warnings) {
  for (const image::LimitRecord& limit : process.limits()) {
    rlimit64 wanted{limit.soft(), limit.hard()};
    rlimit64 now{};
    const auto resource = static_cast<__rlimit_resource>(limit.resource());
    if (::prlimit64(pid.value, resource, &wanted, nullptr) == 0) continue;
    if (::prlimit64(pid.value, resource, nullptr, &now) == 0) {
      wanted.rlim_max = std::min(wanted.rlim_max, now.rlim_max);
      wanted.rlim_cur = std::min(wanted.rlim_cur, wanted.rlim_max);
      (void)::prlimit64(pid.value, resource, &wanted, nullptr);
    }
    warnings.push_back("process " + std::to_string(process.pid()) + ": the limit of " +
                       limit_name(limit.resource()) +
                       " is lower here than where the job came from (ulimit -H shows limits, "
                       "limits.conf(5) raises them)");
  }
}

// Blocked signals are queued even where nobody wants them; to ignore one discards it
// (sigaction(2)).
Status discard_pending(Mailbox& box, const image::ProcessRecord& process,
                       const std::set<int>& numbers, const abi::AgentPage* page) {
  for (int number : numbers) {
    const abi::KernelSigaction ignore{1 /* SIG_IGN */, 0, 0, 0};
    abi::KernelSigaction own{};
    for (const image::SignalActionRecord& action : process.signal_actions())
      if (action.number() == number) own = kernel_action(action, page);
    box.clear();
    box.add(SYS_rt_sigaction, number, box.put_value(ignore), 0, 8);
    box.add(SYS_rt_sigaction, number, box.put_value(own), 0, 8);
    CK_TRY(box.run());
    CK_TRY(box.expect_all("discard what the restart has queued"));
  }
  return {};
}

Status start_clocks(Mailbox& box, const image::ProcessRecord& process,
                    std::vector<std::string>& warnings) {
  for (const image::PosixTimerRecord& timer : process.posix_timers())
    CK_TRY(create_timer(box, timer));
  CK_TRY(queue_signals(box, process));
  CK_TRY(start_timers(box, process));
  const std::string text = std::to_string(process.oom_score_adj());
  if (!proc::write_proc(box.pid(), "oom_score_adj", text).ok())
    warnings.push_back("the job's oom_score_adj of " + text + " cannot be set here");
  return {};
}

Status drop_privileges(Mailbox& box, const image::CredentialsRecord& saved) {
  CK_TRY(set_groups(box, sorted_groups(saved)));
  CK_TRY(drop_bounding(box, saved.cap_bounding()));
  CK_TRY(set_securebits(box, saved.securebits()));
  const __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  const auto low = [](std::uint64_t mask) { return static_cast<std::uint32_t>(mask); };
  const auto high = [](std::uint64_t mask) { return static_cast<std::uint32_t>(mask >> 32); };
  box.clear();
  const Mailbox::Address version = box.put_value(header);
  const Mailbox::Address present = box.reserve(2 * sizeof(__user_cap_data_struct));
  box.add(SYS_capget, version, present);
  CK_TRY(box.run());
  CK_TRY(box.expect_all("ask for capabilities"));
  const auto now_low = box.value_at<__user_cap_data_struct>(present);
  const auto now_high =
      box.value_at<__user_cap_data_struct>(present + sizeof(__user_cap_data_struct));
  // Rights that the restart does not have cannot be given; fewer is all that can be set.
  const std::uint64_t may = now_low.permitted | std::uint64_t{now_high.permitted} << 32;
  const std::uint64_t permitted = saved.cap_permitted() & may;
  const std::uint64_t effective = saved.cap_effective() & may;
  const std::uint64_t inheritable = saved.cap_inheritable() & may;
  const __user_cap_data_struct wanted[2] = {{low(effective), low(permitted), low(inheritable)},
                                            {high(effective), high(permitted), high(inheritable)}};
  box.clear();
  box.add(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  box.add(SYS_capset, box.put_value(header), box.put_value(wanted));
  for (int capability = 0; capability < 64; ++capability)
    if ((saved.cap_ambient() & permitted & inheritable) >> capability & 1)
      box.add(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
  CK_TRY(box.run());
  return box.expect_all("set capabilities");
}

void compare_groups(const image::CredentialsRecord& saved, std::vector<std::string>& warnings) {
  if (::geteuid() == 0 || sorted_groups(saved) == own_groups()) return;
  warnings.push_back("the job's supplementary groups are those of the restart, not its own");
}

Status set_dumpable(Mailbox& box, const image::ProcessRecord& process) {
  box.clear();
  CK_TRY(box.call("set dumpable", SYS_prctl, PR_SET_DUMPABLE, process.dumpable() == 0 ? 0 : 1));
  return {};
}

}  // namespace ck::restore
