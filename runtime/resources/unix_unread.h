// What is unread in UNIX sockets: read without taking it out, and put back. Engine only.
#pragma once

#include <sys/socket.h>

#include <functional>

#include "runtime/proc/sock_diag.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"

namespace ck::resources {

// Both ends are sockets of the job, or the other end is gone.
bool is_peer_in_job(const CaptureSession& session, const OpenFile& file, ino_t peer);

// What read_unread() of capture.h's session has found, into the socket's record.
Status add_unread(CaptureSession& session, ino_t socket, SocketState& state);

// How the pieces of one socket are sent to it again.
struct Refill {
  RestoreSession& session;
  const SocketState& reader;
  // A descriptor of ours that has the name; the second time for one piece, the first had no room.
  std::function<Result<int>(const std::string& name, bool again)> sender;
  const sockaddr* address = nullptr;  // null: the sender is connected
  socklen_t length = 0;
};
Status refill(const Refill& how);

}  // namespace ck::resources
