// Gives one of our descriptors to a parked process, over a UNIX socket pair. Engine only.
#pragma once

#include "runtime/base/result.h"
#include "runtime/proc/mailbox.h"

namespace ck::proc {

// Sends `fd` over `channel`, our end, and receives it in the process, whose end is `channel_fd`.
// Returns its number there; it is close-on-exec.
Result<int> pass_descriptor(Mailbox& box, int channel, int channel_fd, int fd);

}  // namespace ck::proc
