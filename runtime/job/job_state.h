// What has become of a job, for people: a look from outside that takes no lock and so may be out of
// date at once. Any thread.
#pragma once

#include <optional>

#include "runtime/base/result.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/suspension.h"

namespace ck::job {

struct JobState {
  enum class Kind {
    kRunning,
    kOrphaned,   // the program runs, its supervisor is dead
    kElsewhere,  // last seen on another host
    kStopped,    // ended with a checkpoint
    kDead,       // ended without a word; restartable from its newest image
    kFinished,
  };
  Kind kind = Kind::kDead;
  std::optional<Incarnation> incarnation;
  std::optional<Finished> finished;
  SuspendedBy suspended_by = SuspendedBy::kNobody;  // its processes are there and stand still
  bool held = false;  // kStopped, kDead: a copy that has not run is here, or memory for one
};
Result<JobState> job_state(const JobDir& job);
const char* state_name(JobState::Kind kind);
// With what else there is to say: "finished 0", "on node2", "suspended by load", "held".
std::string state_text(const JobState& state);

}  // namespace ck::job
