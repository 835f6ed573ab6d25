#include "driver/daemon/listeners.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "driver/client/socket_path.h"
#include "driver/protocol/check.h"

namespace ck::daemon {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using local = asio::local::stream_protocol;

Result<UniqueFd> take_lock(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return sys_error("open " + path);
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) return sys_error("lock " + path);
  return make_error(ErrorKind::kTryAgain, "a ckd runs already, and holds " + path,
                    "end that one, or give this one a --socket and a --state folder of its own");
}

}  // namespace

Result<tcp::endpoint> tcp_endpoint(const std::string& address) {
  protocol::Address parts = CK_TRY(protocol::split_address(address));
  error_code error;
  auto host = asio::ip::make_address(parts.host, error);
  if (!error) return tcp::endpoint(host, static_cast<unsigned short>(std::stoi(parts.port)));
  return make_error(ErrorKind::kUsage, "'" + address + "' is not an address to listen at",
                    "write numbers, such as 0.0.0.0:7381");
}

Result<tcp::acceptor> listen_tcp(const asio::any_io_executor& executor,
                                 const tcp::endpoint& endpoint) {
  tcp::acceptor acceptor(executor);
  error_code error;
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (!error) acceptor.listen(tcp::acceptor::max_listen_connections, error);
  if (!error) return acceptor;
  return sys_error(
      "listen at " + endpoint.address().to_string() + " port " + std::to_string(endpoint.port()),
      error.value());
}

Result<ControlSocket> listen_local(const asio::any_io_executor& executor, const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return sys_error("listen at " + path, ENAMETOOLONG);
  CK_TRY(client::prepare_socket_folder(path));
  ControlSocket made{local::acceptor(executor), CK_TRY(take_lock(path + ".lock"))};
  unlink(path.c_str());  // of one that was killed: the lock says that nobody serves it
  error_code error;
  made.acceptor.open(local(), error);
  if (!error) made.acceptor.bind(local::endpoint(path), error);
  // Every user may ask root's daemon; it looks who asks.
  if (!error && chmod(path.c_str(), geteuid() == 0 ? 0666 : 0600) != 0) {
    return sys_error("chmod " + path);
  }
  if (!error) made.acceptor.listen(local::acceptor::max_listen_connections, error);
  if (error) return sys_error("listen at " + path, error.value());
  return made;
}

}  // namespace ck::daemon
