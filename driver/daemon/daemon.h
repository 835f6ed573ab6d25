// ckd: everything together, from start to SIGTERM.
#pragma once

#include "driver/daemon/state.h"

namespace ck::daemon {

// Runs until SIGTERM or SIGINT; SIGHUP reloads. Jobs are not its children and do not notice when it
// ends. An Error if it cannot start.
Status run_daemon(Options options);

}  // namespace ck::daemon
