// UDP sockets over IPv4 and IPv6. What is queued comes back where its sender's address can be had
// for a moment; else it is dropped with a note, as UDP may do.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <vector>

#include "runtime/resources/capture.h"
#include "runtime/resources/inet_socket.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/socket_name.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

constexpr std::size_t kMaxDatagram = 65536;

constexpr OptionRow kUdp[] = {
    {IPPROTO_UDP, 1 /* UDP_CORK */, sizeof(int)},
    {IPPROTO_UDP, 100 /* UDP_ENCAP */, sizeof(int)},
    {IPPROTO_UDP, 101 /* UDP_NO_CHECK6_TX */, sizeof(int)},
    {IPPROTO_UDP, 102 /* UDP_NO_CHECK6_RX */, sizeof(int)},
    {IPPROTO_UDP, 103 /* UDP_SEGMENT */, sizeof(int)},
    {IPPROTO_UDP, 104 /* UDP_GRO */, sizeof(int)},
};

bool recognises(const CaptureSession&, const OpenFile& file) {
  if (!S_ISSOCK(file.status.st_mode) || !file.duplicate) return false;
  const int fd = file.duplicate.get(), family = int_option(fd, SOL_SOCKET, SO_DOMAIN);
  return (family == AF_INET || family == AF_INET6) &&
         int_option(fd, SOL_SOCKET, SO_TYPE) == SOCK_DGRAM &&
         int_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDP;
}

// Groups that this host is a member of, in which some process must have joined them.
struct Group {
  std::string address;
  unsigned interface = 0;
};

std::string group_address(int family, const void* host) {
  sockaddr_storage address{};
  address.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    std::memcpy(&reinterpret_cast<sockaddr_in&>(address).sin_addr, host, sizeof(in_addr));
    return std::string(reinterpret_cast<const char*>(&address), sizeof(sockaddr_in));
  }
  std::memcpy(&reinterpret_cast<sockaddr_in6&>(address).sin6_addr, host, sizeof(in6_addr));
  return std::string(reinterpret_cast<const char*>(&address), sizeof(sockaddr_in6));
}

// A line for each interface, then, further in, one for each group:
// "2	eth0      :     1      V3" / "				010000E0     1 0:00000000
// 0"
void add_groups4(std::vector<Group>& groups) {
  std::ifstream file("/proc/self/net/igmp");
  std::string line;
  std::getline(file, line);
  for (unsigned interface = 0; std::getline(file, line);) {
    std::istringstream words(line);
    if (line[0] != '\t') {
      words >> interface;
      continue;
    }
    std::uint32_t host = 0;
    if (words >> std::hex >> host) groups.push_back({group_address(AF_INET, &host), interface});
  }
}

// "1    lo              ff020000000000000000000000000001     1 0000000C 0"
void add_groups6(std::vector<Group>& groups) {
  std::ifstream file("/proc/self/net/igmp6");
  unsigned interface = 0;
  for (std::string line, name, hex; std::getline(file, line);) {
    std::istringstream words(line);
    if (!(words >> interface >> name >> hex) || hex.size() != 32) continue;
    in6_addr host{};
    for (std::size_t i = 0; i < 16; ++i)
      host.s6_addr[i] = static_cast<std::uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
    groups.push_back({group_address(AF_INET6, &host), interface});
  }
}

int level_of(const std::string& group) {
  return to_sockaddr(group).ss_family == AF_INET ? IPPROTO_IP : IPPROTO_IPV6;
}

// The kernel lists no socket's groups, but answers for one: with its filter, or that there is none.
Status capture_memberships(const OpenFile& file, InetState& state) {
  std::vector<Group> groups;
  add_groups4(groups);
  if (state.family() == AF_INET6) add_groups6(groups);
  for (const Group& group : groups) {
    group_filter filter{};
    filter.gf_interface = group.interface;
    filter.gf_group = to_sockaddr(group.address);
    socklen_t length = sizeof filter;
    if (::getsockopt(file.duplicate.get(), level_of(group.address), MCAST_MSFILTER, &filter,
                     &length) != 0)
      continue;
    if (filter.gf_numsrc != 0 || filter.gf_fmode != MCAST_EXCLUDE)
      return make_error(ErrorKind::kRefused, "it is " + describe_socket(file.duplicate.get()) +
                                                 " with a list of multicast sources");
    InetState::Membership& out = *state.add_memberships();
    out.set_group(group.address);
    out.set_interface(group.interface);
  }
  return {};
}

void join_groups(RestoreSession& session, int fd, const InetState& state) {
  for (const InetState::Membership& membership : state.memberships()) {
    group_req request{};
    request.gr_interface = membership.interface();
    request.gr_group = to_sockaddr(membership.group());
    if (::setsockopt(fd, level_of(membership.group()), MCAST_JOIN_GROUP, &request,
                     sizeof request) != 0)
      session.warn("a socket is no member of " + address_text(membership.group()) + " any more");
  }
}

struct Datagram {
  std::string sender, content;
};

Result<std::optional<Datagram>> peek(int fd, std::span<char> buffer) {
  sockaddr_storage from{};
  socklen_t length = sizeof from;
  ssize_t got = ::recvfrom(fd, buffer.data(), buffer.size(), MSG_PEEK | MSG_DONTWAIT,
                           reinterpret_cast<sockaddr*>(&from), &length);
  if (got < 0 && errno == EAGAIN) return std::optional<Datagram>();
  if (got < 0) return sys_error("look at what is unread in a socket");
  return std::optional<Datagram>({std::string(reinterpret_cast<const char*>(&from), length),
                                  std::string(buffer.data(), static_cast<std::size_t>(got))});
}

// As with UNIX datagrams, an empty one is seen once.
Status capture_datagrams(int fd, InetState& state) {
  if (!CK_TRY(has_message(fd))) return {};
  const OptionForNow offset(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
  std::vector<char> buffer(kMaxDatagram);
  auto add = [&state](const Datagram& one) {
    InetState::Datagram& out = *state.add_datagrams();
    out.set_sender(one.sender);
    out.set_content(one.content);
  };
  auto first = CK_TRY(peek(fd, buffer));
  if (!first) return {};
  if (first->content.empty()) add(*first);
  set_int_option(fd, SOL_SOCKET, SO_PEEK_OFF, 0);
  while (auto next = CK_TRY(peek(fd, buffer))) add(*next);
  return {};
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  CK_TRY(check_inet(file));
  if (session.survey) return {};
  const int fd = file.duplicate.get();
  InetState state;
  state.set_id(file.status.st_ino);
  state.set_family(int_option(fd, SOL_SOCKET, SO_DOMAIN));
  state.set_type(SOCK_DGRAM);
  state.set_protocol(IPPROTO_UDP);
  state.set_local(local_address(fd));
  state.set_remote(remote_address(fd));
  capture_common_options(fd, *state.mutable_options());
  capture_ip_options(fd, *state.mutable_options());
  capture_options(fd, kUdp, *state.mutable_options());
  CK_TRY(capture_memberships(file, state));
  CK_TRY(capture_datagrams(fd, state));
  record.set_state(state.SerializeAsString());
  return {};
}

struct Socket {
  InetState state;
  UniqueFd fd;
};
using Sockets = std::map<std::uint64_t, Socket>;

// The job's own socket that has the address, or one for the moment.
Result<UniqueFd> sender_for(const Sockets& sockets, const std::string& address) {
  for (const auto& [id, socket] : sockets) {
    const std::string& local = socket.state.local();
    if (!local.empty() && (address_key(local) == address_key(address) ||
                           (is_any(local) && is_local(address) &&
                            address_key(with_port_of(address, local)) == address_key(address))))
      return UniqueFd(::fcntl(socket.fd.get(), F_DUPFD_CLOEXEC, 0));
  }
  const int family = to_sockaddr(address).ss_family;
  UniqueFd fd(::socket(family, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  CK_TRY(bind_inet(fd.get(), address));
  return fd;
}

bool resend(const Sockets& sockets, const Socket& reader, const InetState::Datagram& datagram) {
  Result<UniqueFd> sender = sender_for(sockets, datagram.sender());
  if (!sender.ok()) return false;
  // What is bound to any address is reached at the sender's own: both are of this host.
  const std::string& local = reader.state.local();
  const bool anywhere = is_any(local) || is_multicast(local);
  std::string to = anywhere ? with_port_of(datagram.sender(), local) : local;
  const sockaddr_storage address = to_sockaddr(to);
  return ::sendto(sender->get(), datagram.content().data(), datagram.content().size(),
                  MSG_DONTWAIT | MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address),
                  static_cast<socklen_t>(to.size())) >= 0;
}

void refill(RestoreSession& session, const Sockets& sockets, const Socket& reader) {
  int lost = 0;
  for (const InetState::Datagram& datagram : reader.state.datagrams())
    lost += resend(sockets, reader, datagram) ? 0 : 1;
  if (lost > 0)
    session.warn(std::to_string(lost) + " unread datagrams of the UDP socket " +
                 address_text(reader.state.local()) + " are lost");
}

Status connect_to(int fd, const std::string& remote) {
  if (remote.empty()) return {};
  const sockaddr_storage to = to_sockaddr(remote);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to),
                static_cast<socklen_t>(remote.size())) == 0)
    return {};
  return sys_error("connect a socket to " + address_text(remote));
}

// Bound first, so that nothing is sent to the wrong one; connected last, for it hears nobody else
// from then on.
Status build(RestoreSession& session) {
  Sockets sockets;
  for (const auto& record : session.manifest.open_files()) {
    InetState state;
    if (record.kind() == kUdpSocket.name && state.ParseFromString(record.state()))
      sockets[state.id()].state = std::move(state);
  }
  for (auto& [id, socket] : sockets) {
    socket.fd = CK_TRY(make_inet_socket(session, socket.state));
    if (!socket.state.local().empty()) CK_TRY(bind_inet(socket.fd.get(), socket.state.local()));
    join_groups(session, socket.fd.get(), socket.state);
  }
  for (const auto& [id, socket] : sockets) refill(session, sockets, socket);
  for (auto& [id, socket] : sockets) {
    CK_TRY(connect_to(socket.fd.get(), socket.state.remote()));
    session.udp_sockets[id] = std::move(socket.fd);
  }
  return {};
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<InetState>(record));
  if (session.udp_sockets.empty()) CK_TRY(build(session));
  return hand_over(session, std::move(session.udp_sockets[state.id()]), record);
}

}  // namespace

const Kind kUdpSocket = {"udp_socket", recognises, capture, restore};

}  // namespace ck::resources
