#include "runtime/resources/tcp_queues.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <chrono>
#include <vector>

#include "runtime/resources/socket_options.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

namespace ck::resources {
namespace {

using std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{5};
constexpr std::size_t kBlock = 1 << 20;

std::size_t count(int fd, unsigned long what) {
  int bytes = 0;
  return ::ioctl(fd, what, &bytes) == 0 && bytes > 0 ? static_cast<std::size_t>(bytes) : 0;
}

Error stuck() {
  return make_error(ErrorKind::kTryAgain, "what was sent through it does not arrive").that_passes();
}

// All that was given to the kernel has been sent once, if only the receiver's window let it.
bool is_all_sent(int sender) {
  return info_of(sender).tcpi_notsent_bytes == 0;
}

// Loopback delivers within the call that sends, unless the receiver was out of memory for it. The
// end of a connection counts as a byte received.
bool has_arrived(int sender, int reader) {
  const tcp_info from = info_of(sender), to = info_of(reader);
  return to.tcpi_bytes_received >= from.tcpi_bytes_sent - from.tcpi_bytes_retrans;
}

bool is_ended(int sender) {
  const int state = info_of(sender).tcpi_state;
  return state != TCP_ESTABLISHED && state != TCP_CLOSE_WAIT;
}

Status take_available(int reader, std::string& bytes) {
  std::vector<char> block(kBlock);
  for (;;) {
    ssize_t got = ::recv(reader, block.data(), block.size(), MSG_DONTWAIT);
    if (got < 0 && errno != EAGAIN) return sys_error("read what is on its way in a connection");
    if (got <= 0) return {};
    bytes.append(block.data(), static_cast<std::size_t>(got));
  }
}

// Both queues, through the reader's end. What was taken is in `bytes` even if it fails.
Status drain(int sender, int reader, std::string& bytes) {
  const auto deadline = steady_clock::now() + kPatience;
  for (;;) {
    CK_TRY(take_available(reader, bytes));
    if (count(sender, SIOCOUTQ) == 0 && count(reader, SIOCINQ) == 0) return {};
    if (steady_clock::now() > deadline) return stuck();
    pollfd arrival{reader, POLLIN, 0};
    ::poll(&arrival, 1, 1);
  }
}

// A size for the moment, without the kernel remembering that it was set by hand.
class BufferForNow {
 public:
  BufferForNow(int fd, int name, std::size_t bytes)
      : fd_(fd), locks_(int_option(fd, SOL_SOCKET, SO_BUF_LOCK, -1)) {
    if (locks_ >= 0 && int_option(fd, SOL_SOCKET, name) < static_cast<int>(2 * bytes))
      set_int_option(fd, SOL_SOCKET, name, static_cast<int>(bytes));
  }
  ~BufferForNow() {
    if (locks_ >= 0) set_int_option(fd_, SOL_SOCKET, SO_BUF_LOCK, locks_);
  }
  BufferForNow(const BufferForNow&) = delete;
  BufferForNow& operator=(const BufferForNow&) = delete;

 private:
  int fd_, locks_;
};

}  // namespace

tcp_info info_of(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
  return info;
}

Result<std::string> peek_unread(int fd) {
  const OptionForNow from_the_start(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
  pollfd urgent{fd, POLLPRI, 0};
  if (::poll(&urgent, 1, 0) > 0 && (urgent.revents & POLLPRI) != 0)
    return make_error(ErrorKind::kTryAgain, "urgent data is unread in it",
                      "try again when the program has read it")
        .that_passes();
  std::string bytes(count(fd, SIOCINQ), '\0');
  if (bytes.empty()) return bytes;
  ssize_t got = ::recv(fd, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got < 0) return sys_error("look at what is unread in a connection");
  bytes.resize(static_cast<std::size_t>(got));
  return bytes;
}

Result<std::string> read_connection(int sender, int reader) {
  // What waits for more to come (TCP_CORK, Nagle's algorithm) goes now.
  const OptionForNow cork(sender, IPPROTO_TCP, TCP_CORK, 0);
  const OptionForNow no_delay(sender, IPPROTO_TCP, TCP_NODELAY, 1);
  if (is_all_sent(sender) && has_arrived(sender, reader)) return peek_unread(reader);
  if (is_ended(sender))
    return make_error(ErrorKind::kTryAgain,
                      "its other end was shut down, and more was sent than "
                      "arrives before the program reads")
        .that_passes();
  std::string bytes;
  Status drained = drain(sender, reader, bytes);
  CK_TRY(send_all(sender, reader, bytes));
  CK_TRY(std::move(drained));
  return bytes;
}

Status send_all(int sender, int reader, const std::string& bytes) {
  if (bytes.empty()) return {};
  const BufferForNow at_reader(reader, SO_RCVBUF, bytes.size());
  const BufferForNow at_sender(sender, SO_SNDBUF, bytes.size());
  const auto deadline = steady_clock::now() + kPatience;
  for (std::size_t sent = 0; sent < bytes.size();) {
    ssize_t put =
        ::send(sender, bytes.data() + sent, bytes.size() - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put < 0 && errno != EAGAIN) return sys_error("put back what was unread in a connection");
    if (put > 0) sent += static_cast<std::size_t>(put);
    if (steady_clock::now() > deadline) return stuck();
    pollfd room{sender, POLLOUT, 0};
    if (put < 0) ::poll(&room, 1, 1);
  }
  return {};
}

}  // namespace ck::resources
