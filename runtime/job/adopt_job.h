// A job whose supervisor died while its program goes on gets a new supervisor, in the background.
// ckpt's main thread only, before any other thread was started.
#pragma once

#include <string>

#include "runtime/base/result.h"
#include "runtime/job/control_client.h"

namespace ck::job {

// As find_supervisor(), but where the job's supervisor has died, one is started.
Result<ControlClient> find_or_start_supervisor(const std::string& target,
                                               const std::string& jobs_folder);

}  // namespace ck::job
