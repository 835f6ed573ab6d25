// A cluster on paper: hosts that share their processors among jobs, averages that lag, views of
// others that are old, moves that take time. Drives decide() and accepts() as a daemon would, to
// see what a policy does before it does it to anybody's jobs. Deterministic for a seed. Any thread.
#pragma once

#include <cstdint>

#include "driver/policy/balance.h"

namespace ck::driver {

struct SimulationOptions {
  unsigned hosts = 1000;
  unsigned jobs = 20000;
  unsigned processors = 16;
  std::uint64_t seed = 1;
  bool balance = true;
  // Jobs are submitted to this share of the hosts only: the rest is idle at first.
  double busy_share = 0.25;
  std::chrono::seconds arrivals{3600};  // over which they are submitted
  std::chrono::seconds mean_work{
      3600};  // of one job, alone on a processor; exponentially distributed
  std::chrono::seconds duration{4 * 3600};
  std::chrono::seconds view_age{15};  // how old what a host knows of others is, at least
  std::chrono::seconds decides_every{15};
  double bytes_per_second = 100e6;  // of a move
  unsigned drained = 0;             // hosts that are drained after half of the duration
  JobClass job_class;
  BalanceOptions policy;
};

struct SimulationReport {
  unsigned finished = 0;
  unsigned moves = 0;
  unsigned refused = 0;       // offers that the chosen host did not take
  unsigned most_moves = 0;    // of one job
  unsigned returns = 0;       // of a job to a host that it has left before
  double fairness = 0;        // Jain's index of the jobs' speeds; 1: all equal
  double slowdown = 0;        // mean of time taken by work, of those that have finished
  double worst_slowdown = 0;  // of the slowest twentieth, the fastest
  // From the last submission until, for good, at most one host of a hundred has loadcheckpoint or
  // more; negative: never.
  std::chrono::seconds time_to_balance{-1};
  unsigned left_on_drained = 0;
};

SimulationReport simulate(const SimulationOptions& options);

}  // namespace ck::driver
