// File locks: POSIX (of the process), open file description locks, flock, leases. Engine only.
#pragma once

#include "runtime/base/result.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"

namespace ck::resources {

// Into the records of the processes that hold them; a lock that belongs to a shared open file into
// that of its first process.
void capture_locks(const CaptureSession& session);

// restore_locks() is in restore.h.

}  // namespace ck::resources
