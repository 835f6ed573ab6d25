// Between a command that goes on for long (--ready-fd) and whoever has started it and waits until
// it is ready. Any thread.
#pragma once

#include "runtime/base/unique_fd.h"

namespace ck::job {

// Says so, once. Of a failure they hear by the end of file alone.
void tell_ready(UniqueFd& ready);

}  // namespace ck::job
