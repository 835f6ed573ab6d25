// Whether this host is being drained: a file in the daemon's state folder, so that a daemon that is
// started anew knows it. Any thread.
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace ck::daemon {

Result<bool> read_drained(const std::string& state_folder);
// Durable when it returns.
Status write_drained(const std::string& state_folder, bool drained);

}  // namespace ck::daemon
