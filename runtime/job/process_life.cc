#include "runtime/job/process_life.h"

#include <poll.h>

#include "runtime/proc/pidfd.h"
#include "runtime/proc/stat.h"
#include "runtime/proc/tasks.h"

namespace ck::job {
namespace {

bool has_ended(const proc::PidFd& process, std::chrono::milliseconds patience) {
  pollfd ready{process.get(), POLLIN, 0};
  return poll(&ready, 1, static_cast<int>(patience.count())) > 0;
}

}  // namespace

Life process_life(RealPid pid, std::uint64_t start_time) {
  if (!pid) return Life::kGone;
  // Held first, then identified: from here on the number cannot change its meaning.
  Result<proc::PidFd> process = proc::PidFd::open(pid);
  Result<proc::ProcessStat> stat = proc::read_stat(pid);
  if (!stat.ok() || stat->start_time != start_time) return Life::kGone;
  if (process.ok() && has_ended(*process, std::chrono::milliseconds(0))) return Life::kGone;
  return proc::all_ending(pid) ? Life::kEnding : Life::kRuns;
}

void await_end(RealPid pid, std::uint64_t start_time, std::chrono::milliseconds patience) {
  if (process_life(pid, start_time) != Life::kEnding) return;
  Result<proc::PidFd> process = proc::PidFd::open(pid);
  if (process.ok()) (void)has_ended(*process, patience);
}

}  // namespace ck::job
