#include "runtime/proc/sock_diag.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "runtime/base/unique_fd.h"

namespace ck::proc {
namespace {

constexpr std::uint32_t kNoCookie = ~0u;

struct Request {
  nlmsghdr header;
  unix_diag_req body;
};

template <typename T>
T attribute_value(const rtattr* attribute) {
  T value{};
  std::memcpy(&value, RTA_DATA(attribute),
              std::min<std::size_t>(sizeof value, RTA_PAYLOAD(attribute)));
  return value;
}

void take_attribute(const rtattr* attribute, UnixSocket& socket) {
  switch (attribute->rta_type) {
    case UNIX_DIAG_PEER:
      socket.has_peer = true;
      socket.peer = attribute_value<std::uint32_t>(attribute);
      break;
    case UNIX_DIAG_NAME:
      socket.name.assign(static_cast<const char*>(RTA_DATA(attribute)), RTA_PAYLOAD(attribute));
      break;
    case UNIX_DIAG_SHUTDOWN:
      socket.shutdown = attribute_value<std::uint8_t>(attribute);
      break;
    case UNIX_DIAG_VFS: {
      auto file = attribute_value<unix_diag_vfs>(attribute);
      socket.has_file = true;
      socket.file_device = file.udiag_vfs_dev;
      socket.file_inode = file.udiag_vfs_ino;
      break;
    }
    case UNIX_DIAG_ICONS:
      for (std::size_t i = 0; i < RTA_PAYLOAD(attribute) / sizeof(std::uint32_t); ++i)
        socket.waiting.push_back(static_cast<const std::uint32_t*>(RTA_DATA(attribute))[i]);
      break;
    case UNIX_DIAG_RQLEN: {
      auto queue = attribute_value<unix_diag_rqlen>(attribute);
      socket.unread = queue.udiag_rqueue;
      socket.backlog = queue.udiag_wqueue;
      break;
    }
    default:
      break;
  }
}

UnixSocket parse_answer(const nlmsghdr* header) {
  auto* message = static_cast<const unix_diag_msg*>(NLMSG_DATA(header));
  UnixSocket socket;
  socket.inode = message->udiag_ino;
  socket.type = message->udiag_type;
  socket.state = message->udiag_state;
  auto* attribute = reinterpret_cast<const rtattr*>(message + 1);
  auto left = static_cast<int>(header->nlmsg_len - NLMSG_LENGTH(sizeof *message));
  for (; RTA_OK(attribute, left); attribute = RTA_NEXT(attribute, left))
    take_attribute(attribute, socket);
  return socket;
}

Request request_for(ino_t inode) {
  Request request{};
  request.header.nlmsg_len = sizeof request;
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST;
  request.body.sdiag_family = AF_UNIX;
  request.body.udiag_states = ~0u;
  request.body.udiag_ino = static_cast<std::uint32_t>(inode);
  request.body.udiag_show =
      UDIAG_SHOW_NAME | UDIAG_SHOW_PEER | UDIAG_SHOW_RQLEN | UDIAG_SHOW_VFS | UDIAG_SHOW_ICONS;
  request.body.udiag_cookie[0] = request.body.udiag_cookie[1] = kNoCookie;
  return request;
}

}  // namespace

Result<std::optional<UnixSocket>> find_unix_socket(ino_t inode) {
  UniqueFd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG));
  if (!netlink) return sys_error("ask the kernel about sockets");
  Request request = request_for(inode);
  if (::send(netlink.get(), &request, sizeof request, 0) < 0)
    return sys_error("ask the kernel about sockets");
  alignas(nlmsghdr) char buffer[8192];
  ssize_t got = ::recv(netlink.get(), buffer, sizeof buffer, 0);
  if (got < 0) return sys_error("ask the kernel about sockets");
  auto* header = reinterpret_cast<const nlmsghdr*>(buffer);
  if (!NLMSG_OK(header, static_cast<std::size_t>(got))) {
    return make_error(ErrorKind::kSystem, "the kernel's answer about sockets has an unknown form");
  }
  if (header->nlmsg_type != NLMSG_ERROR) return std::optional(parse_answer(header));
  int error = -static_cast<const nlmsgerr*>(NLMSG_DATA(header))->error;
  if (error == ENOENT) return std::optional<UnixSocket>();
  return sys_error("ask the kernel about a UNIX socket", error);
}

}  // namespace ck::proc
