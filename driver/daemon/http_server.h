// /metrics and /healthz over HTTP, on an address of this host only. The daemon's thread only.
#pragma once

#include <boost/asio/ip/tcp.hpp>

#include "driver/daemon/state.h"

namespace ck::daemon {

// Refused (kUsage) if the address is not a loopback one.
Result<asio::ip::tcp::endpoint> metrics_endpoint(const std::string& address);

// Serves until the acceptor is closed.
Task<void> serve_metrics(State& state, asio::ip::tcp::acceptor& acceptor);

}  // namespace ck::daemon
