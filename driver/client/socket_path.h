// Where a ckd listens for ckpt. Any thread.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace ck::client {

// Of a ckd that this user starts: $CKD_SOCKET; else for root /run/ckrun/ckd.sock; else
// $XDG_RUNTIME_DIR/ckrun/ckd.sock; else /tmp/ckrun-UID/ckd.sock.
std::string own_socket();

// Where ckpt looks: for the user's own ckd, then for root's.
std::vector<std::string> sockets_to_try();

// The folder of that socket: made with mode 0700 (root's: 0755) and nobody else's.
Status prepare_socket_folder(const std::string& socket);

}  // namespace ck::client
