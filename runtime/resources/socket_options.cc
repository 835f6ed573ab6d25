#include "runtime/resources/socket_options.h"

#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/base/unique_fd.h"

#ifndef SO_BUF_LOCK
#define SO_BUF_LOCK 72
#endif

namespace ck::resources {
namespace {

constexpr int kSendBufferSet = 1, kReceiveBufferSet = 2;  // SOCK_SNDBUF_LOCK, SOCK_RCVBUF_LOCK

constexpr OptionRow kCommon[] = {
    {SOL_SOCKET, SO_PASSCRED, sizeof(int)},     {SOL_SOCKET, SO_PASSSEC, sizeof(int)},
    {SOL_SOCKET, SO_RCVTIMEO, sizeof(timeval)}, {SOL_SOCKET, SO_SNDTIMEO, sizeof(timeval)},
    {SOL_SOCKET, SO_RCVLOWAT, sizeof(int)},     {SOL_SOCKET, SO_KEEPALIVE, sizeof(int)},
    {SOL_SOCKET, SO_BROADCAST, sizeof(int)},    {SOL_SOCKET, SO_OOBINLINE, sizeof(int)},
    {SOL_SOCKET, SO_LINGER, sizeof(linger)},    {SOL_SOCKET, SO_REUSEADDR, sizeof(int)},
    {SOL_SOCKET, SO_REUSEPORT, sizeof(int)},    {SOL_SOCKET, SO_DONTROUTE, sizeof(int)},
    {SOL_SOCKET, SO_PRIORITY, sizeof(int)},     {SOL_SOCKET, SO_MARK, sizeof(int)},
    {SOL_SOCKET, SO_BINDTODEVICE, 16},          {SOL_SOCKET, SO_MAX_PACING_RATE, sizeof(long)},
    {SOL_SOCKET, SO_BUSY_POLL, sizeof(int)},    {SOL_SOCKET, SO_TIMESTAMP, sizeof(int)},
    {SOL_SOCKET, SO_TIMESTAMPNS, sizeof(int)},  {SOL_SOCKET, SO_TIMESTAMPING, sizeof(int)},
    {SOL_SOCKET, SO_RXQ_OVFL, sizeof(int)},     {SOL_SOCKET, SO_ZEROCOPY, sizeof(int)},
    {SOL_SOCKET, SO_NO_CHECK, sizeof(int)},     {SOL_SOCKET, SO_PEEK_OFF, sizeof(int)},
};

std::string value_of(int fd, const OptionRow& row) {
  std::string value(row.size, '\0');
  socklen_t length = static_cast<socklen_t>(row.size);
  if (::getsockopt(fd, row.level, row.name, value.data(), &length) != 0) return {};
  value.resize(length);
  return value;
}

UniqueFd new_one_like(int fd) {
  return UniqueFd(::socket(int_option(fd, SOL_SOCKET, SO_DOMAIN),
                           int_option(fd, SOL_SOCKET, SO_TYPE) | SOCK_CLOEXEC,
                           int_option(fd, SOL_SOCKET, SO_PROTOCOL)));
}

void add(SocketOptions& options, const OptionRow& row, const std::string& value) {
  SocketOption& option = *options.Add();
  option.set_level(row.level);
  option.set_name(row.name);
  option.set_value(value);
}

// The kernel doubles what it is given.
void capture_buffer(int fd, int name, SocketOptions& options) {
  int half = int_option(fd, SOL_SOCKET, name) / 2;
  std::string value(sizeof half, '\0');
  std::memcpy(value.data(), &half, sizeof half);
  add(options, {SOL_SOCKET, name, sizeof half}, value);
}

bool is_buffer_size(const SocketOption& option) {
  return option.level() == SOL_SOCKET && (option.name() == SO_SNDBUF || option.name() == SO_RCVBUF);
}

// Beyond net.core.wmem_max and rmem_max where we may.
bool set_buffer(int fd, int name, int half) {
  const int force = name == SO_SNDBUF ? SO_SNDBUFFORCE : SO_RCVBUFFORCE;
  return ::setsockopt(fd, SOL_SOCKET, force, &half, sizeof half) == 0 ||
         ::setsockopt(fd, SOL_SOCKET, name, &half, sizeof half) == 0;
}

// The largest that this process can have: the kernel cuts silently, and would make a buffer smaller
// that is larger than that already. The limits' files are not there in every network namespace.
int largest_buffer(int name) {
  const UniqueFd plain(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  set_buffer(plain.get(), name, kMostRoom / 2);
  return int_option(plain.get(), SOL_SOCKET, name);
}

bool set_option(int fd, const SocketOption& option) {
  const auto& value = option.value();
  if (is_buffer_size(option) && value.size() == sizeof(int)) {
    int half = 0;
    std::memcpy(&half, value.data(), sizeof half);
    return set_buffer(fd, option.name(), half);
  }
  // Some can be set only before a socket is bound or connected.
  return value_of(fd, {option.level(), option.name(), value.size()}) == value ||
         ::setsockopt(fd, option.level(), option.name(), value.data(),
                      static_cast<socklen_t>(value.size())) == 0;
}

}  // namespace

int int_option(int fd, int level, int name, int otherwise) {
  int value = otherwise;
  socklen_t length = sizeof value;
  return ::getsockopt(fd, level, name, &value, &length) == 0 ? value : otherwise;
}

void set_int_option(int fd, int level, int name, int value) {
  ::setsockopt(fd, level, name, &value, sizeof value);
}

void capture_options(int fd, std::span<const OptionRow> table, SocketOptions& options) {
  const UniqueFd plain = new_one_like(fd);
  for (const OptionRow& row : table) {
    std::string value = value_of(fd, row);
    if (!value.empty() && value != value_of(plain.get(), row)) add(options, row, value);
  }
}

bool has_filter(int fd) {
  socklen_t length = 0;
  const int result = ::getsockopt(fd, SOL_SOCKET, SO_GET_FILTER, nullptr, &length);
  return result == 0 ? length > 0 : errno == EACCES;  // EACCES: one that is not classic BPF
}

void capture_common_options(int fd, SocketOptions& options) {
  // Before the kernel told (5.14), as if the program had set them.
  const int set = int_option(fd, SOL_SOCKET, SO_BUF_LOCK, kSendBufferSet | kReceiveBufferSet);
  if ((set & kSendBufferSet) != 0) capture_buffer(fd, SO_SNDBUF, options);
  if ((set & kReceiveBufferSet) != 0) capture_buffer(fd, SO_RCVBUF, options);
  capture_options(fd, kCommon, options);
}

SocketOptions take_buffer_sizes(SocketOptions& options) {
  SocketOptions sizes, others;
  for (SocketOption& option : options)
    *(is_buffer_size(option) ? sizes : others).Add() = std::move(option);
  options = std::move(others);
  return sizes;
}

Status set_options(int fd, const SocketOptions& options, std::string& missing) {
  for (const SocketOption& option : options) {
    if (set_option(fd, option)) continue;
    std::string name = std::to_string(option.level()) + "/" + std::to_string(option.name());
    if (errno != EPERM && errno != ENOPROTOOPT && errno != ENODEV)
      return sys_error("set option " + name + " of a socket");
    missing += (missing.empty() ? "" : ", ") + name;
  }
  return {};
}

Result<bool> has_message(int fd) {
  pollfd poll{fd, POLLIN | POLLRDHUP, 0};
  ::poll(&poll, 1, 0);
  const bool readable = (poll.revents & POLLIN) != 0;
  if ((poll.revents & POLLERR) == 0) return readable;
  int unread = 0;
  ::ioctl(fd, SIOCINQ, &unread);
  // One that is shut down is readable in any case.
  if (unread == 0 && (!readable || (poll.revents & POLLRDHUP) != 0)) return false;
  return make_error(ErrorKind::kTryAgain, "an error and a message are pending in a socket",
                    "try again when the program has read them")
      .that_passes();
}

RoomForNow::RoomForNow(int fd, int name, std::size_t bytes)
    : fd_(fd),
      name_(name),
      before_(int_option(fd, SOL_SOCKET, name)),
      locks_(int_option(fd, SOL_SOCKET, SO_BUF_LOCK, -1)) {
  // Before Linux 5.14 a buffer that was set by hand stays so, and only TCP minds.
  if (locks_ < 0 && int_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP) return;
  const int wanted = std::min(largest_buffer(name), static_cast<int>(std::min(bytes, kMostRoom)));
  grown_ = wanted > before_ && set_buffer(fd, name, wanted / 2);
}

RoomForNow::~RoomForNow() {
  if (!grown_) return;
  set_buffer(fd_, name_, before_ / 2);
  if (locks_ >= 0) set_int_option(fd_, SOL_SOCKET, SO_BUF_LOCK, locks_);
}

}  // namespace ck::resources
