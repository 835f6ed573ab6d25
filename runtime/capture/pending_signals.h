// Signals that arrive while the process is frozen. Engine thread only.
#pragma once

#include <sys/time.h>

#include <array>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/capture/freeze.h"
#include "runtime/image/image.pb.h"

namespace ck::capture {

using IntervalTimers = std::array<itimerval, 3>;  // by setitimer's number

// The timers of the process and what is pending must be of one moment, or an alarm is in neither or
// in both. Captures the timers into `record` together with what came to be pending since the
// freeze, which is added to `process.pending` and its threads' `pending`.
// `intervals` and `pending` are what the process and each of its threads told some time ago: where
// no timer runs that is enough.
Status capture_timers_and_signals(FrozenProcess& process, const IntervalTimers& intervals,
                                  const std::vector<std::uint64_t>& pending,
                                  image::ProcessRecord& record);

}  // namespace ck::capture
