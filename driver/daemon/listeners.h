// Opening the sockets at which the daemon listens. The daemon's thread only.
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>

#include "driver/daemon/task.h"
#include "runtime/base/unique_fd.h"

namespace ck::daemon {

Result<asio::ip::tcp::acceptor> listen_tcp(const asio::any_io_executor& executor,
                                           const asio::ip::tcp::endpoint& endpoint);
// A numeric address, as "0.0.0.0:7381".
Result<asio::ip::tcp::endpoint> tcp_endpoint(const std::string& address);

// The UNIX socket for ckpt, and the lock that says that this ckd serves it.
struct ControlSocket {
  asio::local::stream_protocol::acceptor acceptor;
  UniqueFd lock;
};
// kTryAgain if another ckd serves `path`.
Result<ControlSocket> listen_local(const asio::any_io_executor& executor, const std::string& path);

}  // namespace ck::daemon
