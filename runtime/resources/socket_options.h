// Options of sockets: read at a capture, set again at a restart, by table. Engine only.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "runtime/base/result.h"
#include "runtime/resources/states.pb.h"

namespace ck::resources {

using SocketOptions = google::protobuf::RepeatedPtrField<SocketOption>;

// What getsockopt tells and setsockopt accepts. A kernel may lack one, a privilege may be needed to
// set one: that is left out, or told.
struct OptionRow {
  int level;
  int name;
  std::size_t size;  // most that it has
};

// Options of any socket (SOL_SOCKET). Buffer sizes only if the program has set them.
void capture_common_options(int fd, SocketOptions& options);
// A packet filter is attached to it, which is not kept.
bool has_filter(int fd);
// Those of a table that are not what a new socket like it has.
void capture_options(int fd, std::span<const OptionRow> table, SocketOptions& options);

// Takes the sizes of buffers out: they are set when what was unread is back, which may be more than
// has room in them (the program made them smaller, or the kernel counts it otherwise).
SocketOptions take_buffer_sizes(SocketOptions& options);

// The names of those that this host or a lack of privilege forbids come back in `missing`.
Status set_options(int fd, const SocketOptions& options, std::string& missing);

int int_option(int fd, int level, int name, int otherwise = 0);
void set_int_option(int fd, int level, int name, int value);

// Makes a difference for the moment.
class OptionForNow {
 public:
  OptionForNow(int fd, int level, int name, int value)
      : fd_(fd), level_(level), name_(name), before_(int_option(fd, level, name)) {
    set_int_option(fd, level, name, value);
  }
  ~OptionForNow() { set_int_option(fd_, level_, name_, before_); }
  OptionForNow(const OptionForNow&) = delete;
  OptionForNow& operator=(const OptionForNow&) = delete;

 private:
  int fd_, level_, name_, before_;
};

// Whether a datagram is there to be looked at. A receive reports a pending error first, and the
// program would not see it any more: an Error that_passes() if there is one and a datagram.
Result<bool> has_message(int fd);

inline constexpr std::size_t kMostRoom = 1 << 30;

// Makes a buffer (SO_SNDBUF, SO_RCVBUF) larger for the moment, as far as this host allows; smaller
// never. The kernel then does not count it as set by the program, which would end its autotuning.
class RoomForNow {
 public:
  RoomForNow(int fd, int name, std::size_t bytes);
  ~RoomForNow();
  RoomForNow(const RoomForNow&) = delete;
  RoomForNow& operator=(const RoomForNow&) = delete;

 private:
  int fd_, name_, before_, locks_;
  bool grown_ = false;
};

}  // namespace ck::resources
