#include "runtime/job/process_life.h"

#include <poll.h>
#include <signal.h>

#include <algorithm>

#include "runtime/proc/pidfd.h"
#include "runtime/proc/stat.h"
#include "runtime/proc/status.h"
#include "runtime/proc/tasks.h"

namespace ck::job {
namespace {

constexpr std::uint32_t kExitingFlag = 0x4;  // PF_EXITING, linux/sched.h
constexpr std::uint64_t kKilled = std::uint64_t{1} << (SIGKILL - 1);

bool has_ended(const proc::PidFd& process, std::chrono::milliseconds patience) {
  pollfd ready{process.get(), POLLIN, 0};
  return poll(&ready, 1, static_cast<int>(patience.count())) > 0;
}

bool thread_is_ending(RealPid tid) {
  Result<proc::ProcessStat> stat = proc::read_stat(tid);
  if (!stat.ok() || stat->state == 'Z' || stat->state == 'X') return true;
  if ((stat->flags & kExitingFlag) != 0) return true;
  Result<proc::ProcessStatus> status = proc::read_status(tid);
  return !status.ok() || ((status->pending | status->shared_pending) & kKilled) != 0;
}

bool is_ending(RealPid pid) {
  Result<std::vector<RealPid>> threads = proc::read_threads(pid);
  return !threads.ok() || std::all_of(threads->begin(), threads->end(), thread_is_ending);
}

}  // namespace

Life process_life(RealPid pid, std::uint64_t start_time) {
  if (!pid) return Life::kGone;
  // Held first, then identified: from here on the number cannot change its meaning.
  Result<proc::PidFd> process = proc::PidFd::open(pid);
  Result<proc::ProcessStat> stat = proc::read_stat(pid);
  if (!stat.ok() || stat->start_time != start_time) return Life::kGone;
  if (process.ok() && has_ended(*process, std::chrono::milliseconds(0))) return Life::kGone;
  return is_ending(pid) ? Life::kEnding : Life::kRuns;
}

void await_end(RealPid pid, std::uint64_t start_time, std::chrono::milliseconds patience) {
  if (process_life(pid, start_time) != Life::kEnding) return;
  Result<proc::PidFd> process = proc::PidFd::open(pid);
  if (process.ok()) (void)has_ended(*process, patience);
}

}  // namespace ck::job
