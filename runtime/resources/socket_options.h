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

}  // namespace ck::resources
