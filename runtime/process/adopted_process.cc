#include "runtime/process/adopted_process.h"

#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <optional>
#include <thread>

#include "runtime/proc/stat.h"

namespace ck::process {

namespace {

constexpr std::chrono::seconds kReapPatience{5};
constexpr std::chrono::milliseconds kBetweenLooks{5};

// linux/pidfd.h, Linux 6.15: newer than the headers that this is built with.
struct PidfdInfo {
  std::uint64_t mask = 0;
  std::uint64_t cgroup = 0;
  std::uint32_t pid = 0, tgid = 0, ppid = 0;
  std::uint32_t ids[8] = {};
  std::int32_t exit_code = 0;
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr std::uint64_t kInfoExit = 1u << 3;
constexpr unsigned long kGetInfo = _IOWR(0xFF, 11, PidfdInfo);

// Known once the process has been collected, to whoever held it before.
std::optional<int> status_of_collected(int pidfd) {
  PidfdInfo info;
  info.mask = kInfoExit;
  if (::ioctl(pidfd, kGetInfo, &info) != 0 || (info.mask & kInfoExit) == 0) return std::nullopt;
  return info.exit_code;
}

}  // namespace

Result<std::unique_ptr<RootProcess>> AdoptedProcess::watch(RealPid pid, std::uint64_t start_time) {
  auto process = std::make_unique<AdoptedProcess>();
  process->pid_ = pid;
  process->start_time_ = start_time;
  process->pidfd_.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid.value, 0)));
  if (!process->pidfd_) return sys_error("pidfd_open " + to_string(pid));
  const Result<proc::ProcessStat> stat = proc::read_stat(pid);
  if (!stat.ok() || stat->start_time != start_time)
    return make_error(ErrorKind::kNotFound, "process " + to_string(pid) + " has just ended");
  process->reaper_ = stat->ppid;
  return std::unique_ptr<RootProcess>(std::move(process));
}

Result<int> AdoptedProcess::take_exit_status() {
  const auto deadline = std::chrono::steady_clock::now() + kReapPatience;
  for (;;) {
    // A zombie shows its status to those who may trace it; a collected one leaves it in the pidfd.
    const Result<proc::ProcessStat> stat = proc::read_stat(pid_);
    const bool there = stat.ok() && stat->start_time == start_time_;
    if (there && stat->state == 'Z') return stat->exit_code;
    if (std::optional<int> status = status_of_collected(pidfd_.get())) return *status;
    if (!there || std::chrono::steady_clock::now() >= deadline) break;
    std::this_thread::sleep_for(kBetweenLooks);
  }
  return make_error(ErrorKind::kNotFound,
                    "the exit status of process " + to_string(pid_) +
                        " is unknown: it is no child of ours, and "
                        "this kernel does not tell of others (Linux 6.15 does)");
}

}  // namespace ck::process
