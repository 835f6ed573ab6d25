// Signals that arrive while the process is frozen. Engine thread only.
#pragma once

#include "runtime/base/result.h"
#include "runtime/capture/freeze.h"
#include "runtime/image/image.pb.h"

namespace ck::capture {

// The timers of the process and what is pending must be of one moment, or an alarm is in neither or
// in both. Captures the timers into `record` together with what came to be pending since the
// freeze, which is added to `process.pending` and its threads' `pending`.
Status capture_timers_and_signals(FrozenProcess& process, image::ProcessRecord& record);

}  // namespace ck::capture
