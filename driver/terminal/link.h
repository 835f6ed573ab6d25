// One connection between the two ends of a terminal: messages over a stream socket that neither
// end waits for. One thread.
#pragma once

#include <optional>
#include <string>

#include "driver/terminal/terminal.pb.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::driver::terminal {

class Link {
 public:
  explicit Link(UniqueFd socket);

  int fd() const { return socket_.get(); }
  bool wants_to_write() const { return begin_ < out_.size(); }
  // Whether there is room for a piece: what comes from a terminal is left there else.
  bool has_room() const { return out_.size() - begin_ < kMostWaiting; }

  // Sends as far as that goes at once; the rest with write().
  void send(const wire::Message& message);
  void write();
  // What has come, as far as it is needed for the next message.
  void read();
  // The next message that is whole; an Error: it is none, or the connection has ended.
  Result<std::optional<wire::Message>> next();

 private:
  static constexpr std::size_t kMostWaiting = 128u << 10;
  UniqueFd socket_;
  std::string in_, out_;
  std::size_t begin_ = 0;  // of out_
  bool ended_ = false;
};

}  // namespace ck::driver::terminal
