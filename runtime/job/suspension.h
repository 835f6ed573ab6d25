// A job whose processes stand still (SIGSTOP) until somebody lets them go on: its user, or the load
// policy. Those that were stopped before, by ^Z or by a signal, are left alone both times. What was
// stopped is in the job's folder, file `suspended`, before it is stopped: a supervisor that takes
// over after the death of this one lets it go on as well. Any thread.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/job/job_dir.h"

namespace ck::job {

enum class SuspendedBy { kNobody, kUser, kLoad };
const char* name(SuspendedBy by);  // "", "user", "load"

// What the folder says of that life of the job; kNobody also where it cannot be read.
SuspendedBy suspended_by(const JobDir& job, const Incarnation& life);

// For a restart: the supervisor of that life will begin by suspending the job for its user.
Status suspend_from_the_start(const JobDir& job, const Incarnation& life);

class Suspension {
 public:
  // All of the job, parents before children.
  using Members = std::function<Result<std::vector<RealPid>>()>;
  // `life`: of this supervisor. What the folder says of it holds.
  Suspension(const JobDir& job, const Incarnation& life, Members members);

  SuspendedBy by() const;
  // After that the load's word is over, unless it comes again. Only with kLoad.
  std::chrono::milliseconds lease() const;

  // Again: stops what has been started or continued meanwhile. What the user has said counts more
  // than what the load says. An Error leaves the job as it was.
  Status begin(SuspendedBy by, std::chrono::milliseconds lease = {});
  // No Error for a job that is not suspended. If the file cannot be removed, the job goes on.
  Status end();

  // Around a freeze of the job: what is stopped somewhere in the C library or on its way into a
  // program could not be captured, and would be stopped after a restart. stop_again() is for after
  // the thaw; `spared` are no processes of the job.
  void wake();
  void stop_again(const std::set<pid_t>& spared = {});

 private:
  enum class Look { kAllStand, kSomeMove, kFoundNew };

  Status write() const;
  Status forget();
  Status stop_all(const std::set<pid_t>& spared);
  Result<Look> stop_moving(const std::set<pid_t>& spared);
  void go_on();

  const JobDir& job_;
  const std::string area_;  // names the life
  const Members members_;
  mutable std::mutex mutex_;  // of all below
  SuspendedBy by_ = SuspendedBy::kNobody;
  std::chrono::milliseconds lease_{0};
  std::map<pid_t, std::uint64_t> stopped_;  // by us; when they began
  std::vector<pid_t> order_;                // in which they were
  bool awake_ = false;                      // for a freeze
};

}  // namespace ck::job
