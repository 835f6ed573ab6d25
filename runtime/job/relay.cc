#include "runtime/job/relay.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

namespace ck::job {

Relay::Relay(int from, int to)
    : from_(from), to_(to), bytes_(kRoom), may_wait_((::fcntl(from, F_GETFL) & O_NONBLOCK) == 0) {}

// A pty gives a few kilobytes at a time: several reads make one write.
bool Relay::read() {
  begin_ = end_ = 0;
  while (end_ < kRoom - kSpare) {
    const ssize_t count = ::read(from_, bytes_.data() + end_, kRoom - kSpare - end_);
    if (count > 0) {
      end_ += static_cast<std::size_t>(count);
      if (may_wait_ || count < 1024) return true;
      continue;
    }
    if (count < 0 && (errno == EAGAIN || errno == EINTR)) return true;
    open_ = false;
    return end_ > 0;
  }
  return true;
}

bool Relay::write() {
  while (begin_ < end_) {
    const ssize_t count = ::write(to_, bytes_.data() + begin_, end_ - begin_);
    if (count > 0) {
      begin_ += static_cast<std::size_t>(count);
    } else if (count < 0 && errno != EINTR) {
      return errno == EAGAIN;
    }
  }
  return true;
}

void Relay::add(char byte) {
  if (begin_ == end_) begin_ = end_ = 0;
  if (end_ < kRoom) bytes_[end_++] = byte;
}

void Relay::add(const std::string& pending) {
  for (const char byte : pending) add(byte);
}

}  // namespace ck::job
