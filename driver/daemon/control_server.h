// The UNIX socket for ckpt. Who asks is known by SO_PEERCRED. The daemon's thread only.
#pragma once

#include <boost/asio/local/stream_protocol.hpp>

#include "driver/daemon/state.h"

namespace ck::daemon {

// Serves until the acceptor is closed. A daemon of root answers every user, each about the user's
// own jobs; another one its own user and root.
Task<void> serve_control(State& state, asio::local::stream_protocol::acceptor& acceptor);

}  // namespace ck::daemon
