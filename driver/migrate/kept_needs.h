// What the target remembers of an offer until the job runs. It is beside the image that comes: who
// restores that may be another daemon than the one that accepted it. Blocking; in a process of the
// job's owner.
#pragma once

#include "driver/migrate/steps.h"
#include "runtime/base/result.h"

namespace ck::driver::migrate {

// Its plan of files. Nothing is written if that is as usual.
Status keep_needs(const StepPlan& plan);
// That alone; empty, if nothing was written.
Result<handover::wire::Needs> kept_needs(const StepPlan& plan);
Status forget_needs(const StepPlan& plan);

}  // namespace ck::driver::migrate
