#include "runtime/job/job_state.h"

#include "runtime/job/control_client.h"
#include "runtime/job/held_mark.h"

namespace ck::job {
namespace {

JobState::Kind kind_of(const Incarnation& owner, const Host& here) {
  if (owner.ended) return JobState::Kind::kStopped;
  // A supervisor in another pid namespace of this kernel cannot be seen, but answers.
  if (owner.host.boot_id == here.boot_id && owner.host.pid_namespace != here.pid_namespace) {
    bool answers = ControlClient::connect(owner.host.pid_namespace, owner.supervisor).ok();
    return answers ? JobState::Kind::kRunning : JobState::Kind::kDead;
  }
  switch (owner_state(owner, here)) {
    case OwnerState::kSupervisorLives:
      return JobState::Kind::kRunning;
    case OwnerState::kProgramLives:
      return JobState::Kind::kOrphaned;
    case OwnerState::kUnknown:
      return JobState::Kind::kElsewhere;
    case OwnerState::kGone:
      break;
  }
  return JobState::Kind::kDead;
}

}  // namespace

Result<JobState> job_state(const JobDir& job) {
  JobState state;
  state.incarnation = CK_TRY(job.incarnation());
  state.finished = CK_TRY(job.finished());
  if (state.finished) {
    state.kind = JobState::Kind::kFinished;
  } else if (state.incarnation) {
    state.kind = kind_of(*state.incarnation, CK_TRY(this_host()));
  }
  if (state.kind == JobState::Kind::kRunning || state.kind == JobState::Kind::kOrphaned)
    state.suspended_by = suspended_by(job, *state.incarnation);
  if (state.kind == JobState::Kind::kStopped || state.kind == JobState::Kind::kDead)
    state.held = CK_TRY(living_holder(job)).has_value();
  return state;
}

const char* state_name(JobState::Kind kind) {
  switch (kind) {
    case JobState::Kind::kRunning:
      return "running";
    case JobState::Kind::kOrphaned:
      return "orphaned";
    case JobState::Kind::kElsewhere:
      return "elsewhere";
    case JobState::Kind::kStopped:
      return "stopped";
    case JobState::Kind::kDead:
      return "dead";
    case JobState::Kind::kFinished:
      return "finished";
  }
  return "unknown";
}

std::string state_text(const JobState& state) {
  const std::string text = state_name(state.kind);
  if (state.suspended_by == SuspendedBy::kLoad) return "suspended by load";
  if (state.suspended_by == SuspendedBy::kUser) return "suspended";
  if (state.held) return "held";
  if (state.finished)
    return text + " " + (state.finished->known ? std::to_string(state.finished->exit_status) : "?");
  return state.kind == JobState::Kind::kElsewhere ? "on " + state.incarnation->host.name : text;
}

}  // namespace ck::job
