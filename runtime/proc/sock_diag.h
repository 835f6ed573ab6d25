// What the kernel tells of a UNIX socket by netlink (sock_diag(7)): the other end of a connection,
// above all, which no getsockopt tells. Asks in the caller's network namespace. Any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/base/result.h"

namespace ck::proc {

struct UnixSocket {
  ino_t inode = 0;
  int type = 0;                // SOCK_
  int state = 0;               // TCP_ESTABLISHED, TCP_LISTEN, TCP_CLOSE, …
  ino_t peer = 0;              // 0: not connected, or the other end was closed
  bool has_peer = false;       // connected, even if the other end was closed since
  std::string name;            // bound address; an abstract one begins with NUL
  std::uint32_t shutdown = 0;  // bit 0: no more reading, bit 1: no more writing
  std::uint32_t unread = 0;    // bytes in the receive queue (of a listening one: connections)
};

// Nothing: there is no UNIX socket of that inode number.
Result<std::optional<UnixSocket>> find_unix_socket(ino_t inode);

}  // namespace ck::proc
