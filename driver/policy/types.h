// What load balancing knows of hosts and jobs. Plain values; any thread.
//
// Loads are runnable tasks for each processor: 1.0 is a host whose processors are just busy.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"

namespace ck::driver {

using Instant = std::chrono::sys_time<std::chrono::milliseconds>;

enum class Mode : int { kNone = 0, kKernel = 1, kUser = 2 };  // of checkpoint and of restart

// A class of jobs: which hosts may run them, by load. The names are those of GNU Queue's profile.
struct JobClass {
  double loadsched = 1.0;             // at or above it a host takes no job of the class
  double loadcheckpoint = 1.5;        // at or above it one of them is moved away
  double loadstop = 4.0;              // at or above it they are stopped until it is below loadsched
  Mode checkpointmode = Mode::kUser;  // none: they are never moved
  Mode restartmode = Mode::kUser;     // none: they are not taken from other hosts
  std::chrono::seconds minimum_stay{300};  // on a host, before the load may move them again
};
using JobClasses = std::map<std::string, JobClass>;

// loadsched ≤ loadcheckpoint < loadstop, all positive.
Status check(std::string_view name, const JobClass& job_class);

struct HostView {
  std::string name;
  unsigned processors = 1;
  double load = 0;  // what the load average will settle at, see settled_load()
  std::uint64_t memory_free = 0;
  std::uint64_t features = 0;  // of the CPU, a bit each
  bool draining = false;       // all its jobs shall leave
  Instant told;                // when the host said so
};

struct JobView {
  std::string id;
  std::string job_class = "default";
  double tasks = 1;  // runnable ones, on average: its share of a load
  std::uint64_t memory = 0;
  std::uint64_t features = 0;  // that it could have seen, and so needs
  Instant arrived;             // on this host
  bool pinned = false;         // its user forbids moves by load
  bool stopped = false;        // by the policy; `tasks` as if it were not
  bool suspended = false;      // by its user: the load neither moves it nor lets it go on
};

// A move that the load average does not show in full yet.
struct RecentMove {
  double tasks = 0;  // negative: they left
  Instant when;
};
// The kernel's one-minute average answers a change slowly; deciding by it alone moves too many.
// `average` counts all tasks of the host, the result is for each processor.
double settled_load(double average, unsigned processors, const std::vector<RecentMove>& moves,
                    Instant now);

}  // namespace ck::driver
