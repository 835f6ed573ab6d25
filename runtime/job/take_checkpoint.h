// One checkpoint of a job into the next generation of its folder, and the retention after it.
// Engine thread only.
#pragma once

#include "runtime/job/checkpoint_runner.h"

namespace ck::job {

Result<CheckpointOutcome> take_checkpoint(const JobDir& job, const Ownership& ownership,
                                          const CheckpointFunction& checkpoint,
                                          const Settings& settings, bool stop,
                                          image::Progress* progress);

}  // namespace ck::job
