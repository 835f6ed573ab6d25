#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>
#include <functional>

#include "runtime/base/unique_fd.h"
#include "runtime/proc/sock_diag.h"

namespace ck::proc {
namespace {

struct Request {
  nlmsghdr header;
  inet_diag_req_v2 body;
};

Request request_for(int family, unsigned states, int flags) {
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = static_cast<std::uint16_t>(NLM_F_REQUEST | flags);
  request.body.sdiag_family = static_cast<std::uint8_t>(family);
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = states;
  request.body.id.idiag_cookie[0] = request.body.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
  return request;
}

void put_address(const sockaddr_storage& address, __be32* into, __be16& port) {
  if (address.ss_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    std::memcpy(into, &in.sin_addr, sizeof in.sin_addr);
    port = in.sin_port;
  } else {
    const auto& in6 = reinterpret_cast<const sockaddr_in6&>(address);
    std::memcpy(into, &in6.sin6_addr, sizeof in6.sin6_addr);
    port = in6.sin6_port;
  }
}

sockaddr_storage take_remote(const inet_diag_msg& message) {
  sockaddr_storage address{};
  address.ss_family = message.idiag_family;
  if (message.idiag_family == AF_INET) {
    auto& in = reinterpret_cast<sockaddr_in&>(address);
    std::memcpy(&in.sin_addr, message.id.idiag_dst, sizeof in.sin_addr);
    in.sin_port = message.id.idiag_dport;
  } else {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(address);
    std::memcpy(&in6.sin6_addr, message.id.idiag_dst, sizeof in6.sin6_addr);
    in6.sin6_port = message.id.idiag_dport;
  }
  return address;
}

// `take` tells whether more is wanted.
Status ask(const Request& request, const std::function<bool(const inet_diag_msg&)>& take) {
  UniqueFd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!netlink || ::send(netlink.get(), &request, sizeof request, 0) < 0)
    return sys_error("ask the kernel about sockets");
  const bool many = (request.header.nlmsg_flags & NLM_F_DUMP) != 0;
  alignas(nlmsghdr) char buffer[32768];
  do {
    ssize_t got = ::recv(netlink.get(), buffer, sizeof buffer, 0);
    if (got < 0) return sys_error("ask the kernel about sockets");
    auto left = static_cast<unsigned>(got);
    for (auto* header = reinterpret_cast<nlmsghdr*>(buffer); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left)) {
      if (header->nlmsg_type == NLMSG_DONE) return {};
      if (header->nlmsg_type == NLMSG_ERROR) {
        int error = -static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
        return error == ENOENT ? Status() : sys_error("ask the kernel about a TCP socket", error);
      }
      if (!take(*static_cast<const inet_diag_msg*>(NLMSG_DATA(header)))) return {};
    }
  } while (many);
  return {};
}

}  // namespace

Result<std::optional<TcpSocket>> find_tcp_socket(const sockaddr_storage& local,
                                                 const sockaddr_storage& remote) {
  Request request = request_for(local.ss_family, ~0u, 0);
  put_address(local, request.body.id.idiag_src, request.body.id.idiag_sport);
  put_address(remote, request.body.id.idiag_dst, request.body.id.idiag_dport);
  std::optional<TcpSocket> found;
  CK_TRY(ask(request, [&](const inet_diag_msg& message) {
    if (message.idiag_state != TCP_LISTEN) found = {message.idiag_state, message.idiag_inode};
    return false;
  }));
  return found;
}

Result<std::optional<sockaddr_storage>> find_connecting(ino_t inode, int family) {
  std::optional<sockaddr_storage> found;
  CK_TRY(
      ask(request_for(family, 1u << TCP_SYN_SENT, NLM_F_DUMP), [&](const inet_diag_msg& message) {
        if (message.idiag_inode == static_cast<std::uint32_t>(inode)) found = take_remote(message);
        return !found;
      }));
  return found;
}

}  // namespace ck::proc
