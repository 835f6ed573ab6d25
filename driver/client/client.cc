#include "driver/client/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

#include "driver/client/socket_path.h"
#include "driver/protocol/frame.h"

namespace ck::client {
namespace {

using Clock = std::chrono::steady_clock;

// Another user could have put a socket where ours is looked for.
Status check_server(int fd, const std::string& path) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return sys_error("ask " + path);
  if (peer.uid == geteuid() || peer.uid == 0) return {};
  return make_error(ErrorKind::kPermission,
                    path + " is served by a process of user " + std::to_string(peer.uid));
}

Result<UniqueFd> connect_to(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) return sys_error("connect to " + path, ENAMETOOLONG);
  std::memcpy(address.sun_path, path.data(), path.size());
  UniqueFd fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!fd || connect(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    return sys_error("connect to " + path);
  }
  CK_TRY(check_server(fd.get(), path));
  return fd;
}

// The daemon's socket, and what ends the waiting for it.
struct Connection {
  int fd = -1, cancel = -1;
};

Status wait_for(Connection daemon, short events, Clock::time_point deadline) {
  auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
  pollfd watched[] = {{daemon.fd, events, 0}, {daemon.cancel, POLLIN, 0}};
  int count = left <= 0 ? 0 : poll(watched, 2, static_cast<int>(left));
  if (count > 0 && watched[1].revents != 0) {
    return make_error(ErrorKind::kTryAgain, "ckd was not waited for");
  }
  if (count > 0 || (count < 0 && errno == EINTR)) return {};
  if (count < 0) return sys_error("wait for ckd");
  return make_error(ErrorKind::kTryAgain, "ckd does not answer", "its log tells what it does");
}

Status send_all(Connection daemon, const std::string& frame, Clock::time_point deadline) {
  for (std::size_t done = 0; done < frame.size();) {
    CK_TRY(wait_for(daemon, POLLOUT, deadline));
    ssize_t count =
        send(daemon.fd, frame.data() + done, frame.size() - done, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN && errno != EINTR) return sys_error("ask ckd");
    if (count > 0) done += static_cast<std::size_t>(count);
  }
  return {};
}

Status receive_all(Connection daemon, char* into, std::size_t size, Clock::time_point deadline) {
  for (std::size_t done = 0; done < size;) {
    CK_TRY(wait_for(daemon, POLLIN, deadline));
    ssize_t count = recv(daemon.fd, into + done, size - done, MSG_DONTWAIT);
    if (count < 0 && errno != EAGAIN && errno != EINTR) return sys_error("ask ckd");
    if (count == 0) {
      return make_error(ErrorKind::kTryAgain, "ckd closed the connection without an answer",
                        "its log tells why");
    }
    if (count > 0) done += static_cast<std::size_t>(count);
  }
  return {};
}

}  // namespace

Result<UniqueFd> connect_to_daemon() {
  for (const std::string& path : sockets_to_try()) {
    Result<UniqueFd> fd = connect_to(path);
    bool absent = !fd.ok() && (fd.error().errnum == ENOENT || fd.error().errnum == ECONNREFUSED);
    if (!absent) return fd;
  }
  return make_error(ErrorKind::kNotFound, "no ckd runs on this host", "start ckd");
}

Result<protocol::wire::ControlReply> ask_daemon(protocol::wire::ControlRequest request,
                                                std::chrono::milliseconds patience,
                                                const OnProgress& on_progress, int cancel) {
  request.set_version(protocol::kControlVersion);
  UniqueFd fd = CK_TRY(connect_to_daemon());
  const Connection daemon{fd.get(), cancel};
  CK_TRY(send_all(daemon, CK_TRY(protocol::make_frame(request)), Clock::now() + patience));
  for (;;) {
    const Clock::time_point deadline = Clock::now() + patience;
    protocol::FrameHeader header;
    CK_TRY(receive_all(daemon, reinterpret_cast<char*>(header.data()), header.size(), deadline));
    std::string body(CK_TRY(protocol::frame_length(header, protocol::kLongestControlReply)), '\0');
    CK_TRY(receive_all(daemon, body.data(), body.size(), deadline));
    auto reply = CK_TRY(protocol::parse_control_reply(body));
    if (reply.has_error()) return protocol::error_of(reply.error());
    if (!reply.has_progress()) return reply;
    if (on_progress) on_progress(reply.progress());
  }
}

}  // namespace ck::client
