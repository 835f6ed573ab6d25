// Bytes between a peer and a local process, both ways. The daemon's thread only.
#pragma once

#include <cstdint>

#include "driver/daemon/channel.h"
#include "driver/transfer/token_bucket.h"

namespace ck::daemon {

struct PumpLimits {
  std::uint64_t bandwidth = 0;   // of what goes to the peer, bytes a second; 0: no limit
  milliseconds silence{600000};  // of both sides; then it is over
};

// Until either side ends it, or for as long as neither says anything. Both connections are closed
// then. Returns how many bytes went to the peer.
Task<std::uint64_t> pump(TlsChannel channel, LocalStream local, PumpLimits limits);

}  // namespace ck::daemon
