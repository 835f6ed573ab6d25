// From what the user typed to the job: a pid (the supervisor's or any of the job's processes') or a
// job's name or id. Any thread.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/job/control_client.h"
#include "runtime/job/job_dir.h"

namespace ck::job {

// Digits alone are a pid.
bool looks_like_pid(const std::string& target);
Result<RealPid> parse_pid(const std::string& target);

// The supervisor of the job that `pid` belongs to: the process itself or the nearest of its parents
// that answers.
Result<ControlClient> find_supervisor(RealPid pid);

// The supervisor of a job that runs on this host, or else that of a copy which is held here.
Result<ControlClient> find_supervisor(const JobDir& job);

// Of all jobs that could be asked from here, whoever they belong to.
Result<std::vector<RealPid>> list_supervisors();

// A supervisor of this host that holds the job after a checkpoint, while the job's folder, which
// hosts share, names a newer owner elsewhere. Not by a pid: find_supervisor() finds it by that.
Result<std::optional<ControlClient>> find_superseded(const std::string& target,
                                                     const std::string& jobs_folder);

// The job that `target` means, if its supervisor has died and its program goes on.
Result<std::optional<JobDir>> find_orphan(const std::string& target,
                                          const std::string& jobs_folder);

// Either, by what `target` looks like.
Result<ControlClient> find_supervisor(const std::string& target, const std::string& jobs_folder);

}  // namespace ck::job
