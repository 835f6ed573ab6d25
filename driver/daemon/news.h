// What the host with the CA tells the others: who belongs to the cluster, and which certificates
// are revoked. The daemon's thread only.
#pragma once

#include "driver/daemon/state.h"
#include "driver/protocol/peer.pb.h"

namespace ck::daemon {

Result<protocol::wire::News> make_news(const State& state);

// Remembers addresses and revocations in the configuration folder; true if something was new. Hosts
// that the news do not name stay: their certificates decide.
Result<bool> take_news(const std::string& folder, const std::string& own_name,
                       const cluster::Certificate& authority, const protocol::wire::News& news);

}  // namespace ck::daemon
