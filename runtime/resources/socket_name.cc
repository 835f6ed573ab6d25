#include "runtime/resources/socket_name.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstring>

namespace ck::resources {
namespace {

std::string ip_text(int family, const void* address, in_port_t port) {
  char text[INET6_ADDRSTRLEN] = {};
  ::inet_ntop(family, address, text, sizeof text);
  std::string host = family == AF_INET6 ? "[" + std::string(text) + "]" : text;
  return host + ":" + std::to_string(ntohs(port));
}

std::string address_text(const sockaddr_storage& address, socklen_t length) {
  if (address.ss_family == AF_INET) {
    auto& in = reinterpret_cast<const sockaddr_in&>(address);
    return ip_text(AF_INET, &in.sin_addr, in.sin_port);
  }
  if (address.ss_family == AF_INET6) {
    auto& in = reinterpret_cast<const sockaddr_in6&>(address);
    return ip_text(AF_INET6, &in.sin6_addr, in.sin6_port);
  }
  if (address.ss_family == AF_UNIX && length > sizeof(sa_family_t)) {
    auto& un = reinterpret_cast<const sockaddr_un&>(address);
    if (un.sun_path[0] != '\0')
      return std::string(un.sun_path, ::strnlen(un.sun_path, sizeof un.sun_path));
    return "@" + std::string(un.sun_path + 1, length - sizeof(sa_family_t) - 1);
  }
  return {};
}

int option(int fd, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  ::getsockopt(fd, SOL_SOCKET, name, &value, &length);
  return value;
}

std::string type_text(int domain, int type, int protocol) {
  if (type == SOCK_RAW && domain != AF_NETLINK) return "raw socket";
  if (domain == AF_INET || domain == AF_INET6) {
    if (protocol == IPPROTO_TCP) return "TCP socket";
    if (protocol == IPPROTO_UDP) return "UDP socket";
    return "internet socket of protocol " + std::to_string(protocol);
  }
  if (domain == AF_UNIX) {
    if (type == SOCK_DGRAM) return "UNIX datagram socket";
    return type == SOCK_SEQPACKET ? "UNIX packet socket" : "UNIX stream socket";
  }
  if (domain == AF_NETLINK) return "netlink socket";
  if (domain == AF_PACKET) return "packet socket";
  return "socket of address family " + std::to_string(domain);
}

}  // namespace

std::string describe_socket(int fd) {
  if (fd < 0) return "a socket";
  std::string text =
      "a " + type_text(option(fd, SO_DOMAIN), option(fd, SO_TYPE), option(fd, SO_PROTOCOL));
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0) {
    std::string local = address_text(address, length);
    if (!local.empty()) text += " " + local;
  }
  length = sizeof address;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0) {
    std::string peer = address_text(address, length);
    if (!peer.empty()) text += " -> " + peer;
  }
  if (option(fd, SO_ACCEPTCONN) == 1) text += " (listening)";
  return text;
}

}  // namespace ck::resources
