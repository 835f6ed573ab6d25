#include "runtime/resources/tcp_queues.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>
#include <optional>

#include "runtime/resources/socket_options.h"

namespace ck::resources {
namespace {

using std::chrono::steady_clock;
constexpr std::chrono::seconds kPatience{5};
constexpr std::size_t kBlock = 1 << 18;

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

void pause() {
  ::poll(nullptr, 0, 1);
}

// What waits for more to come (TCP_CORK, Nagle's algorithm) goes at once; what is read moves no
// offset for peeking.
struct Flowing {
  Flowing(int sender, int reader)
      : cork(sender, IPPROTO_TCP, TCP_CORK, 0),
        no_delay(sender, IPPROTO_TCP, TCP_NODELAY, 1),
        from_the_start(reader, SOL_SOCKET, SO_PEEK_OFF, -1) {}
  OptionForNow cork, no_delay, from_the_start;
};

// At most `most` bytes, if there are any now.
Result<std::size_t> take(int reader, std::size_t most, std::string& bytes) {
  const std::size_t before = bytes.size();
  bytes.resize(before + std::min(most, kBlock));
  const ssize_t got = ::recv(reader, bytes.data() + before, bytes.size() - before, MSG_DONTWAIT);
  const int error = errno;
  bytes.resize(before + static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
  if (got < 0 && error != EAGAIN)
    return sys_error("read what is on its way in a connection", error);
  return bytes.size() - before;
}

// As much as there is room for.
Result<std::size_t> put(int sender, std::string_view bytes) {
  if (bytes.empty()) return 0;
  const ssize_t sent = ::send(sender, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
  if (sent < 0 && errno != EAGAIN) return sys_error("put back what was unread in a connection");
  return static_cast<std::size_t>(std::max<ssize_t>(sent, 0));
}

Status check_urgent(int fd) {
  pollfd urgent{fd, POLLPRI, 0};
  if (::poll(&urgent, 1, 0) <= 0 || (urgent.revents & POLLPRI) == 0) return {};
  return make_error(ErrorKind::kTryAgain, "urgent data is unread in it",
                    "try again when the program has read it")
      .that_passes();
}

// How much is in the connection, unread or not sent yet. Nothing while something moves between the
// ends, for it would be counted twice or not at all.
std::optional<std::size_t> amount_in(int sender, int reader) {
  const tcp_info before = info_of(sender);
  const std::size_t unread = count(reader, SIOCINQ);
  const tcp_info after = info_of(sender);
  if (before.tcpi_unacked != 0 || after.tcpi_unacked != 0 ||
      before.tcpi_bytes_sent != after.tcpi_bytes_sent)
    return std::nullopt;
  return unread + after.tcpi_notsent_bytes;
}

Result<std::size_t> find_amount(int sender, int reader) {
  const auto deadline = steady_clock::now() + kPatience;
  for (;;) {
    set_int_option(reader, IPPROTO_TCP, TCP_QUICKACK, 1);
    if (auto amount = amount_in(sender, reader)) return *amount;
    if (steady_clock::now() > deadline) return stuck();
    pause();
  }
}

// Looks at all by letting it go round once: what is read at one end is sent again at the other, so
// that there is never more in the connection than was, nor much of it here only. Where the rest
// does not go in at once, more is read first, which makes room. It cannot be left half-way.
Result<std::string> go_round(int sender, int reader, std::size_t amount) {
  const RoomForNow room(sender, SO_SNDBUF, 2 * amount);
  const auto late = steady_clock::now() + kPatience;
  std::string bytes;
  bytes.reserve(amount);
  bool told = false;
  for (std::size_t sent = 0; sent < amount;) {
    const std::size_t taken = CK_TRY(take(reader, amount - bytes.size(), bytes));
    const std::size_t now = CK_TRY(put(sender, std::string_view(bytes).substr(sent)));
    sent += now;
    if (taken == 0 && now == 0) pause();
    if (told || steady_clock::now() < late) continue;
    told = true;
    spdlog::warn("{} of {} bytes of a connection are still to be put back", amount - sent, amount);
  }
  return bytes;
}

// How much of `amount` goes into the empty connection at once. It does not stay there.
Result<std::size_t> try_room(int sender, int reader, std::size_t amount) {
  const std::string block(std::min(kBlock, amount), '\0');
  std::size_t sent = 0;
  for (bool full = false; !full && sent < amount;) {
    const std::size_t now = CK_TRY(put(sender, std::string_view(block).substr(0, amount - sent)));
    sent += now;
    pollfd room{sender, POLLOUT, 0};
    full = now == 0 && ::poll(&room, 1, 1) == 0;
  }
  const auto deadline = steady_clock::now() + kPatience;
  for (std::size_t got = 0; got < sent;) {
    std::string bytes;
    got += CK_TRY(take(reader, sent - got, bytes));
    if (!bytes.empty()) continue;
    if (steady_clock::now() > deadline) return stuck();
    pause();
  }
  return sent;
}

// The kernel makes the buffers of a connection through which much goes larger, and needs no
// privilege to go beyond net.core.rmem_max and wmem_max. Whether there is room for all then.
Result<bool> warm_up(int sender, int reader, std::size_t amount) {
  constexpr int kTries = 8;
  std::size_t most = 0;
  for (int tries = 0; tries < kTries; ++tries) {
    const std::size_t went = CK_TRY(try_room(sender, reader, amount));
    if (went == amount) return true;
    if (went > most) tries = 0;
    most = std::max(most, went);
  }
  return false;
}

}  // namespace

tcp_info info_of(int fd) {
  tcp_info info{};
  socklen_t length = sizeof info;
  ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
  return info;
}

Result<std::string> peek_unread(int fd) {
  const OptionForNow from_the_start(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
  CK_TRY(check_urgent(fd));
  std::string bytes(count(fd, SIOCINQ), '\0');
  if (bytes.empty()) return bytes;
  ssize_t got = ::recv(fd, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got < 0) return sys_error("look at what is unread in a connection");
  bytes.resize(static_cast<std::size_t>(got));
  return bytes;
}

Result<std::string> read_connection(int sender, int reader) {
  const Flowing flowing(sender, reader);
  if (is_all_sent(sender) && has_arrived(sender, reader)) return peek_unread(reader);
  if (is_ended(sender))
    return make_error(ErrorKind::kTryAgain,
                      "its other end was shut down, and more was sent than "
                      "arrives before the program reads")
        .that_passes();
  CK_TRY(check_urgent(reader));
  return go_round(sender, reader, CK_TRY(find_amount(sender, reader)));
}

Status send_all(int sender, int reader, const std::string& bytes) {
  if (bytes.empty()) return {};
  const Flowing flowing(sender, reader);
  const std::size_t wanted = CK_TRY(warm_up(sender, reader, bytes.size())) ? 0 : 2 * bytes.size();
  const RoomForNow at_reader(reader, SO_RCVBUF, wanted);
  const RoomForNow at_sender(sender, SO_SNDBUF, wanted);
  const auto deadline = steady_clock::now() + kPatience;
  for (std::size_t sent = 0; sent < bytes.size();) {
    const std::size_t now = CK_TRY(put(sender, std::string_view(bytes).substr(sent)));
    sent += now;
    if (steady_clock::now() > deadline)
      return make_error(ErrorKind::kRefused,
                        "more is unread in a connection than this host lets one hold",
                        "raise net.core.rmem_max and wmem_max (sysctl)");
    if (now == 0) pause();
  }
  return {};
}

}  // namespace ck::resources
