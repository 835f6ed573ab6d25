#include "driver/terminal/link.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "driver/protocol/frame.h"
#include "driver/terminal/check.h"

namespace ck::driver::terminal {

Link::Link(UniqueFd socket) : socket_(std::move(socket)) {
  ::fcntl(socket_.get(), F_SETFL, ::fcntl(socket_.get(), F_GETFL) | O_NONBLOCK);
}

void Link::send(const wire::Message& message) {
  const Result<std::string> frame = protocol::make_frame(message, kLongestFrame);
  CK_CHECK(frame.ok());
  out_ += *frame;
  write();
}

void Link::write() {
  while (begin_ < out_.size()) {
    const ssize_t count =
        ::send(socket_.get(), out_.data() + begin_, out_.size() - begin_, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      ended_ = true;  // what had come before can still be read
      break;
    }
    begin_ += static_cast<std::size_t>(count);
  }
  out_.clear();
  begin_ = 0;
}

void Link::read() {
  std::array<char, 65536> part;
  while (in_.size() < kLongestFrame) {
    const ssize_t count = ::recv(socket_.get(), part.data(), part.size(), 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) {
      ended_ = true;
      return;
    }
    in_.append(part.data(), static_cast<std::size_t>(count));
  }
}

Result<std::optional<wire::Message>> Link::next() {
  protocol::FrameHeader header;
  std::uint32_t length = 0;
  if (in_.size() >= header.size()) {
    std::memcpy(header.data(), in_.data(), header.size());
    length = CK_TRY(protocol::frame_length(header, kLongestFrame));
  }
  if (length == 0 || in_.size() < header.size() + length) {
    if (ended_) return make_error(ErrorKind::kTryAgain, "the connection has ended");
    return std::optional<wire::Message>();
  }
  wire::Message message;
  if (!message.ParseFromArray(in_.data() + header.size(), static_cast<int>(length)))
    return make_error(ErrorKind::kRefused, "a message is damaged");
  in_.erase(0, header.size() + length);
  CK_TRY(check(message));
  return std::optional(std::move(message));
}

}  // namespace ck::driver::terminal
