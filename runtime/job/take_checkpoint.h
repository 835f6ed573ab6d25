// One checkpoint of a job into the next generation of its folder, and the retention after it.
// Engine thread only.
#pragma once

#include "runtime/job/checkpoint_runner.h"

namespace ck::job {

// Called when the image of a job that shall be stopped is safe; true: the job goes on after all.
using Hold = std::function<bool(const CheckpointOutcome&)>;

// `hold` may be empty.
Result<CheckpointOutcome> take_checkpoint(const JobDir& job, const Ownership& ownership,
                                          const CheckpointFunction& checkpoint,
                                          const CheckpointOrder& order, const Hold& hold,
                                          image::Progress* progress);

}  // namespace ck::job
