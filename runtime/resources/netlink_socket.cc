// Netlink sockets for routes and addresses (rtnetlink(7)) with nothing unread in them.
#include <linux/netlink.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "runtime/resources/capture.h"
#include "runtime/resources/inet_socket.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/socket_options.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

constexpr OptionRow kNetlink[] = {
    {SOL_NETLINK, NETLINK_PKTINFO, sizeof(int)},
    {SOL_NETLINK, NETLINK_BROADCAST_ERROR, sizeof(int)},
    {SOL_NETLINK, NETLINK_NO_ENOBUFS, sizeof(int)},
    {SOL_NETLINK, NETLINK_CAP_ACK, sizeof(int)},
    {SOL_NETLINK, NETLINK_EXT_ACK, sizeof(int)},
    {SOL_NETLINK, NETLINK_GET_STRICT_CHK, sizeof(int)},
};

bool recognises(const CaptureSession&, const OpenFile& file) {
  if (!S_ISSOCK(file.status.st_mode) || !file.duplicate) return false;
  const int fd = file.duplicate.get();
  return int_option(fd, SOL_SOCKET, SO_DOMAIN) == AF_NETLINK &&
         int_option(fd, SOL_SOCKET, SO_PROTOCOL) == NETLINK_ROUTE;
}

void capture_groups(int fd, NetlinkState& state) {
  std::vector<std::uint32_t> words(64);
  auto length = static_cast<socklen_t>(words.size() * sizeof words[0]);
  if (::getsockopt(fd, SOL_NETLINK, NETLINK_LIST_MEMBERSHIPS, words.data(), &length) != 0) return;
  for (unsigned bit = 0; bit < 8 * std::min<std::size_t>(length, 4 * words.size()); ++bit)
    if ((words[bit / 32] >> (bit % 32) & 1) != 0) state.add_groups(bit + 1);
}

template <typename Call>
sockaddr_nl ask_address(int fd, Call call) {
  sockaddr_nl address{};
  socklen_t length = sizeof address;
  call(fd, reinterpret_cast<sockaddr*>(&address), &length);
  return address;
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  CK_TRY(check_inet(file));
  const int fd = file.duplicate.get();
  if (session.survey) return {};
  pollfd unread{fd, POLLIN, 0};
  if (::poll(&unread, 1, 0) != 0)
    return make_error(ErrorKind::kTryAgain,
                      "the kernel's answers are unread in this netlink socket",
                      "try again when the program has read them")
        .that_passes();
  NetlinkState state;
  state.set_protocol(NETLINK_ROUTE);
  state.set_type(int_option(fd, SOL_SOCKET, SO_TYPE));
  state.set_port(ask_address(fd, ::getsockname).nl_pid);
  const sockaddr_nl peer = ask_address(fd, ::getpeername);
  state.set_peer_port(peer.nl_pid);
  state.set_peer_groups(peer.nl_groups);
  capture_groups(fd, state);
  capture_common_options(fd, *state.mutable_options());
  capture_options(fd, kNetlink, *state.mutable_options());
  record.set_state(state.SerializeAsString());
  return {};
}

// The port is often the process's id, which another process of the host may have by now.
Status bind_port(RestoreSession& session, int fd, const NetlinkState& state) {
  if (state.port() == 0) return {};
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_pid = state.port();
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) return {};
  if (errno != EADDRINUSE) return sys_error("bind a netlink socket");
  address.nl_pid = 0;
  if (::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    return sys_error("bind a netlink socket");
  session.warn("a netlink socket has another port than " + std::to_string(state.port()) +
               " now, which is in use");
  return {};
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<NetlinkState>(record));
  UniqueFd fd(::socket(AF_NETLINK, state.type() | SOCK_CLOEXEC, state.protocol()));
  if (!fd) return sys_error("create a netlink socket");
  std::string missing;
  CK_TRY(set_options(fd.get(), state.options(), missing));
  if (!missing.empty()) session.warn("a netlink socket has lost options " + missing);
  CK_TRY(bind_port(session, fd.get(), state));
  for (std::uint32_t group : state.groups())
    set_int_option(fd.get(), SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, static_cast<int>(group));
  if (state.peer_port() != 0 || state.peer_groups() != 0) {
    sockaddr_nl peer{};
    peer.nl_family = AF_NETLINK;
    peer.nl_pid = state.peer_port();
    peer.nl_groups = state.peer_groups();
    if (::connect(fd.get(), reinterpret_cast<sockaddr*>(&peer), sizeof peer) != 0)
      return sys_error("connect a netlink socket");
  }
  return hand_over(session, std::move(fd), record);
}

}  // namespace

const Kind kNetlinkSocket = {"netlink_socket", recognises, capture, restore};

}  // namespace ck::resources
