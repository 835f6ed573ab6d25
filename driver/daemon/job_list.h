// The jobs of a user on this host. The daemon's thread only.
#pragma once

#include <string>

#include "driver/daemon/task.h"
#include "driver/protocol/peer.pb.h"

namespace ck::daemon {

// In a child process, which becomes that user first if we are root: no other user's file is read as
// root, and a folder that hangs holds up nobody else. An ordinary user's daemon lists that user's
// jobs only (kPermission). `dir`: the option --dir, for our own user.
Task<Result<protocol::wire::JobList>> list_jobs(std::string user, std::string dir);

}  // namespace ck::daemon
