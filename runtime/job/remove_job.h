// Deletes jobs. Any thread.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/job/job_dir.h"

namespace ck::job {

// Refused while the job runs, or (without `force`) may run on another host.
Status remove_job(const JobDir& job, bool force);

// The folder of a job whose lock the caller holds. It is renamed first, so that after a crash there
// is either the whole job or none; the next removal in the same place clears what was left.
Status remove_job_folder(const JobDir& job);

}  // namespace ck::job
