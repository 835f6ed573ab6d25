// Terminals of jobs whose users sit at another host. The daemon carries bytes between the two ends
// and knows none of them. The daemon's thread only.
#pragma once

#include <optional>
#include <string>

#include "driver/daemon/channel.h"
#include "driver/daemon/pump.h"
#include "driver/daemon/state.h"
#include "driver/protocol/control.pb.h"
#include "driver/protocol/peer.pb.h"

namespace ck::daemon {

inline constexpr unsigned kMostTerminals = 128;  // of others' jobs here; of users here
// Both ends say something every few seconds.
inline constexpr PumpLimits kTerminalLimits{0, milliseconds(60000)};

// The way to the terminal of a job of this host.
Task<Result<LocalStream>> open_terminal(State& state, protocol::wire::TerminalOpen wish);

struct TerminalCall {
  protocol::wire::ControlReply reply;  // of kind terminal or follow
  // The way to another host's. None: what comes over the client's own connection after the reply
  // is the server's of this host.
  std::optional<TlsChannel> peer;
};
Task<Result<TerminalCall>> call_terminal(State& state, std::string user,
                                         protocol::wire::TerminalRequest request, int client);

}  // namespace ck::daemon
