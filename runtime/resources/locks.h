// File locks: POSIX (of the process), open file description locks, flock, leases. Engine only.
#pragma once

#include "runtime/base/result.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"

namespace ck::resources {

Status capture_locks(const CaptureSession& session, image::ProcessRecord& process);

// restore_locks() is in restore.h.

}  // namespace ck::resources
