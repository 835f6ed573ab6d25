// What a peer may ask, by who it is, and the answers. The daemon's thread only.
#pragma once

#include "driver/daemon/state.h"
#include "driver/protocol/peer.pb.h"

namespace ck::daemon {

// The answer, or why there is none. A guest may only join. `connection`: a number that grows.
Task<Result<protocol::wire::PeerMessage>> answer_peer(State& state, cluster::Identity peer,
                                                      std::uint64_t connection,
                                                      protocol::wire::PeerMessage question);

}  // namespace ck::daemon
