// Stops and continuations of children that their parents, of the same job, have not been told of
// yet (wait(2), WUNTRACED and WCONTINUED). Engine thread only.
#pragma once

#include "runtime/capture/frozen_job.h"
#include "runtime/image/image.pb.h"

namespace ck::capture {

// Asks the parents, which are parked. Adds to records that are there already.
Status capture_stop_reports(FrozenJob& job, image::Manifest& manifest);

}  // namespace ck::capture
