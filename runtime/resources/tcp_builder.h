// Makes the TCP sockets of an image: connections first, then who listens at their ports. Engine
// only.
#pragma once

#include "runtime/base/result.h"
#include "runtime/resources/restore.h"

namespace ck::resources {

// Into session.tcp_sockets.
Status build_tcp_sockets(RestoreSession& session);

}  // namespace ck::resources
