// What decide(), place() and their explanations ask of a job and a host. Pure.
#pragma once

#include <algorithm>

#include "driver/policy/balance.h"

namespace ck::driver {

// What the job adds to the load of the host.
inline double share(const JobView& job, const HostView& host) {
  return job.tasks / std::max(host.processors, 1u);
}

// Null: nobody has described it.
inline const JobClass* class_of(const JobView& job, const JobClasses& classes) {
  const auto found = classes.find(job.job_class);
  return found == classes.end() ? nullptr : &found->second;
}

// Whether what is known of the host is old.
inline bool is_stale(const HostView& host, Instant now, const BalanceOptions& options) {
  return now > host.told + options.stale;
}

// Whether the host would take the job, and then be below `limit`.
inline bool fits(const JobView& job, const HostView& host, double limit, const JobClasses& classes,
                 Instant now, const BalanceOptions& options) {
  return !is_stale(host, now, options) && host.load + share(job, host) < limit &&
         accepts(host, job, classes, options).ok();
}

}  // namespace ck::driver
