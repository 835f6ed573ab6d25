#include "runtime/resources/inet_socket.h"

#include <arpa/inet.h>
#include <fcntl.h>

#include <cstdint>
#include <cstring>

#include "runtime/resources/socket_name.h"

namespace ck::resources {
namespace {

constexpr OptionRow kIp[] = {
    {IPPROTO_IP, IP_TOS, sizeof(int)},
    {IPPROTO_IP, IP_TTL, sizeof(int)},
    {IPPROTO_IP, IP_MTU_DISCOVER, sizeof(int)},
    {IPPROTO_IP, IP_RECVERR, sizeof(int)},
    {IPPROTO_IP, IP_PKTINFO, sizeof(int)},
    {IPPROTO_IP, IP_RECVTOS, sizeof(int)},
    {IPPROTO_IP, IP_RECVTTL, sizeof(int)},
    {IPPROTO_IP, IP_RECVOPTS, sizeof(int)},
    {IPPROTO_IP, IP_RETOPTS, sizeof(int)},
    {IPPROTO_IP, IP_RECVORIGDSTADDR, sizeof(int)},
    {IPPROTO_IP, IP_FREEBIND, sizeof(int)},
    {IPPROTO_IP, IP_TRANSPARENT, sizeof(int)},
    {IPPROTO_IP, IP_MINTTL, sizeof(int)},
    {IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, sizeof(int)},
    {IPPROTO_IP, IP_LOCAL_PORT_RANGE, sizeof(int)},
};

constexpr OptionRow kIpv6[] = {
    {IPPROTO_IPV6, IPV6_V6ONLY, sizeof(int)},       {IPPROTO_IPV6, IPV6_UNICAST_HOPS, sizeof(int)},
    {IPPROTO_IPV6, IPV6_TCLASS, sizeof(int)},       {IPPROTO_IPV6, IPV6_RECVPKTINFO, sizeof(int)},
    {IPPROTO_IPV6, IPV6_RECVHOPLIMIT, sizeof(int)}, {IPPROTO_IPV6, IPV6_RECVTCLASS, sizeof(int)},
    {IPPROTO_IPV6, IPV6_MTU_DISCOVER, sizeof(int)}, {IPPROTO_IPV6, IPV6_RECVERR, sizeof(int)},
    {IPPROTO_IPV6, IPV6_DONTFRAG, sizeof(int)},     {IPPROTO_IPV6, IPV6_FREEBIND, sizeof(int)},
    {IPPROTO_IPV6, IPV6_TRANSPARENT, sizeof(int)},  {IPPROTO_IPV6, IPV6_MINHOPCOUNT, sizeof(int)},
};

// Of a connection the kernel keeps other things in their place.
constexpr OptionRow kMulticast[] = {
    {IPPROTO_IP, IP_MULTICAST_TTL, sizeof(int)},
    {IPPROTO_IP, IP_MULTICAST_LOOP, sizeof(int)},
    {IPPROTO_IP, IP_MULTICAST_ALL, sizeof(int)},
    {IPPROTO_IP, IP_MULTICAST_IF, sizeof(in_addr)},
};
constexpr OptionRow kMulticastIpv6[] = {
    {IPPROTO_IPV6, IPV6_MULTICAST_HOPS, sizeof(int)},
    {IPPROTO_IPV6, IPV6_MULTICAST_LOOP, sizeof(int)},
    {IPPROTO_IPV6, IPV6_MULTICAST_IF, sizeof(int)},
};

template <typename Call>
std::string ask_address(int fd, Call call) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (call(fd, reinterpret_cast<sockaddr*>(&address), &length) != 0) return {};
  return std::string(reinterpret_cast<const char*>(&address), length);
}

template <typename Address>
std::string bytes_of(const Address& address) {
  return std::string(reinterpret_cast<const char*>(&address), sizeof address);
}

// Host part as IPv6, then the port.
std::pair<in6_addr, in_port_t> parts(const std::string& text) {
  const sockaddr_storage address = to_sockaddr(text);
  if (address.ss_family == AF_INET6) {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
    return {in6.sin6_addr, in6.sin6_port};
  }
  const auto& in = reinterpret_cast<const sockaddr_in&>(address);
  in6_addr mapped{};
  mapped.s6_addr[10] = mapped.s6_addr[11] = 0xff;
  std::memcpy(mapped.s6_addr + 12, &in.sin_addr, sizeof in.sin_addr);
  return {mapped, in.sin_port};
}

}  // namespace

std::string local_address(int fd) {
  std::string address = ask_address(fd, ::getsockname);
  if (address.empty() || (parts(address).second == 0 && is_any(address))) return {};
  return address;
}

std::string remote_address(int fd) {
  return ask_address(fd, ::getpeername);
}

sockaddr_storage to_sockaddr(const std::string& address) {
  sockaddr_storage storage{};
  std::memcpy(&storage, address.data(), std::min(address.size(), sizeof storage));
  return storage;
}

std::string address_text(const std::string& address) {
  const auto [host, port] = parts(address);
  char text[INET6_ADDRSTRLEN] = {};
  if (IN6_IS_ADDR_V4MAPPED(&host)) {
    ::inet_ntop(AF_INET, host.s6_addr + 12, text, sizeof text);
    return std::string(text) + ":" + std::to_string(ntohs(port));
  }
  ::inet_ntop(AF_INET6, &host, text, sizeof text);
  return "[" + std::string(text) + "]:" + std::to_string(ntohs(port));
}

std::string address_key(const std::string& address) {
  const auto [host, port] = parts(address);
  return bytes_of(host) + bytes_of(port);
}

std::string connection_key(const std::string& local, const std::string& remote) {
  return address_key(local) + address_key(remote);
}

std::string loopback(int family) {
  if (family == AF_INET6) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = in6addr_loopback;
    return bytes_of(address);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return bytes_of(address);
}

bool is_any(const std::string& address) {
  const auto [host, port] = parts(address);
  in6_addr any4{};
  any4.s6_addr[10] = any4.s6_addr[11] = 0xff;
  return IN6_IS_ADDR_UNSPECIFIED(&host) || std::memcmp(&host, &any4, sizeof host) == 0;
}

bool is_multicast(const std::string& address) {
  const auto [host, port] = parts(address);
  return IN6_IS_ADDR_MULTICAST(&host) ||
         (IN6_IS_ADDR_V4MAPPED(&host) && (host.s6_addr[12] & 0xf0) == 0xe0);
}

std::string with_port_of(const std::string& address, const std::string& other) {
  sockaddr_storage storage = to_sockaddr(address);
  const in_port_t port = parts(other).second;
  if (storage.ss_family == AF_INET6)
    reinterpret_cast<sockaddr_in6&>(storage).sin6_port = port;
  else
    reinterpret_cast<sockaddr_in&>(storage).sin_port = port;
  return std::string(reinterpret_cast<const char*>(&storage), address.size());
}

bool is_local(const std::string& address) {
  const UniqueFd probe(::socket(to_sockaddr(address).ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const std::string any_port = with_port_of(address, loopback(AF_INET));
  return bind_inet(probe.get(), any_port).ok();
}

void capture_ip_options(int fd, SocketOptions& options) {
  capture_options(fd, kIp, options);
  const bool is_ipv6 = int_option(fd, SOL_SOCKET, SO_DOMAIN) == AF_INET6;
  if (is_ipv6) capture_options(fd, kIpv6, options);
  if (int_option(fd, SOL_SOCKET, SO_TYPE) != SOCK_DGRAM) return;
  capture_options(fd, kMulticast, options);
  if (is_ipv6) capture_options(fd, kMulticastIpv6, options);
}

Result<UniqueFd> make_inet_socket(RestoreSession& session, const InetState& state) {
  UniqueFd fd(
      ::socket(state.family(), state.type() | SOCK_CLOEXEC | SOCK_NONBLOCK, state.protocol()));
  if (!fd) return sys_error("create a socket");
  std::string missing;
  CK_TRY(set_options(fd.get(), state.options(), missing));
  if (!missing.empty())
    session.warn("the socket " + address_text(state.local()) + " has lost options " + missing);
  return fd;
}

Status bind_inet(int fd, const std::string& address) {
  const sockaddr_storage storage = to_sockaddr(address);
  if (::bind(fd, reinterpret_cast<const sockaddr*>(&storage),
             static_cast<socklen_t>(address.size())) == 0)
    return {};
  if (errno == EADDRINUSE) {
    Error error = make_error(ErrorKind::kRefused, address_text(address) + " is in use",
                             "end the program that uses it; if none does, a connection there has "
                             "just ended: try again after a minute");
    error.errnum = EADDRINUSE;
    return error;
  }
  return sys_error("bind a socket to " + address_text(address));
}

Status bind_when_connected(int fd, const std::string& address) {
  const std::uint16_t port = ntohs(parts(address).second);
  set_int_option(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1);
  set_int_option(fd, IPPROTO_IP, IP_LOCAL_PORT_RANGE, port << 16 | port);
  return bind_inet(fd, with_port_of(address, loopback(AF_INET)));
}

Status check_inet(const OpenFile& file) {
  if (!file.duplicate || !has_filter(file.duplicate.get())) return {};
  return make_error(ErrorKind::kRefused, "it is " + describe_socket(file.duplicate.get()) +
                                             ", which has a packet filter");
}

Result<Restored> hand_over(RestoreSession& session, UniqueFd fd,
                           const image::OpenFileRecord& record) {
  int number = CK_TRY(session.give(std::move(fd)));
  session.later_flags.push_back({{session.process, number}, record.flags()});
  return Restored::in_process(number);
}

}  // namespace ck::resources
