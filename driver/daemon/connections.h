// Connections with other hosts that are open, in either direction: where the list of revoked
// certificates changes, each must prove again who it is. The daemon's thread only.
#pragma once

#include <vector>

#include "driver/daemon/channel.h"

namespace ck::daemon {

class Connections {
 public:
  // From its handshake on, whoever has the channel later.
  void add(const TlsChannel& channel) {
    std::erase_if(all_, [](const TlsChannel::Handle& one) { return one.gone(); });
    all_.emplace_back(channel);
  }
  void close_all() const {
    for (const TlsChannel::Handle& one : all_) one.close();
  }

 private:
  std::vector<TlsChannel::Handle> all_;
};

}  // namespace ck::daemon
