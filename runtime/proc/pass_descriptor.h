// Gives some of our descriptors to a parked process, over a UNIX socket pair. Engine only.
#pragma once

#include <sys/socket.h>

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/proc/mailbox.h"

namespace ck::proc {

// SCM_MAX_FD: what one message can carry.
inline constexpr std::size_t kMaxPassed = 253;

// Sends `fd` over `channel`, our end, and receives it in the process, whose end is `channel_fd`.
// Returns its number there; it is close-on-exec.
Result<int> pass_descriptor(Mailbox& box, int channel, int channel_fd, int fd);

// The same of many, in as few messages as can be; their numbers there in the same order.
Result<std::vector<int>> pass_descriptors(Mailbox& box, int channel, int channel_fd,
                                          std::span<const int> fds);

// sendmsg(2), not waiting, with descriptors (at most kMaxPassed, or none); its result. No address:
// to the other end.
ssize_t send_with_descriptors(int socket, std::string_view bytes, std::span<const int> fds,
                              const sockaddr* address = nullptr, socklen_t length = 0);

// recvmsg(2), waiting for one message: its bytes (at most 64 KiB) and the descriptors that come
// with it, close-on-exec. No bytes: the other end is closed.
struct ReceivedMessage {
  std::string bytes;
  std::vector<UniqueFd> fds;
};
Result<ReceivedMessage> receive_message(int socket);
// The one descriptor that comes with a message.
Result<UniqueFd> receive_descriptor(int socket);

}  // namespace ck::proc
