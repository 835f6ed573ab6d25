// Leaving a job's own terminal and coming back to it. Main thread only.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/job/terminal_client.h"

namespace ck::job {

// This process types and shows for the job until that ends (its exit status) or it is detached (0).
// Whoever did so before is told to leave. A supervisor that has died is replaced.
Result<int> attach_job(const std::string& target, const std::string& jobs_folder, Redraw how);

// Whoever types at the job leaves it: false if nobody did.
Result<bool> detach_job(const std::string& target, const std::string& jobs_folder);

}  // namespace ck::job
