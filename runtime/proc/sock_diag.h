// What the kernel tells of UNIX and TCP sockets by netlink (sock_diag(7)): the other end of a
// connection, above all, which no getsockopt tells. Asks in the caller's network namespace. Any
// thread.
#pragma once

#include <sys/socket.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace ck::proc {

struct UnixSocket {
  ino_t inode = 0;
  int type = 0;                   // SOCK_
  int state = 0;                  // TCP_ESTABLISHED, TCP_LISTEN, TCP_CLOSE, …
  ino_t peer = 0;                 // 0: not connected, or the other end was closed
  bool has_peer = false;          // connected, even if the other end was closed since
  std::string name;               // bound address; an abstract one begins with NUL
  bool has_file = false;          // the name is a path, and that of a file
  std::uint32_t file_device = 0;  // as the kernel numbers it: major << 20 | minor
  ino_t file_inode = 0;           // its low 32 bits
  std::uint32_t shutdown = 0;     // bit 0: no more reading, bit 1: no more writing
  std::uint32_t unread = 0;       // bytes in the receive queue (of a listening one: connections)
  std::uint32_t backlog = 0;      // of a listening one: as listen(2) was told
  std::vector<ino_t> waiting;     // of a listening one: those that connected and wait, in order
};

// Nothing: there is no UNIX socket of that inode number.
Result<std::optional<UnixSocket>> find_unix_socket(ino_t inode);

struct TcpSocket {
  int state = 0;    // TCP_
  ino_t inode = 0;  // 0: of no process: not accepted yet, or closed
};

// The end of a connection that has these addresses (of one family), not a listening socket.
Result<std::optional<TcpSocket>> find_tcp_socket(const sockaddr_storage& local,
                                                 const sockaddr_storage& remote);
// Where to a socket is connecting, which no getpeername tells.
Result<std::optional<sockaddr_storage>> find_connecting(ino_t inode, int family);

}  // namespace ck::proc
