// Files that are registered with an io_uring: which open files of the job they are. The kernel
// shows a name only, as /proc/PID/fd does. Engine thread only.
#pragma once

#include <string_view>

#include "runtime/base/result.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"

namespace ck::resources {

// `text`: fdinfo of the ring. Refuses a name that may be of another open file than the one that the
// ring's process has by that name.
Status capture_ring_files(const CaptureSession& session, const OpenFile& ring,
                          std::string_view text, IoUringState& state);

// The table of files for io_uring_register(2), as descriptors there.
Result<std::vector<std::int32_t>> bring_ring_files(RestoreSession& session,
                                                   const IoUringState& state);

}  // namespace ck::resources
