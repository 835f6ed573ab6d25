#include "driver/transfer/stream.h"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

namespace ck::driver::transfer {

namespace {

constexpr std::size_t kHeaderBytes = 4;
constexpr std::size_t kLongestReason = 1024;

Error closed() {
  return make_error(ErrorKind::kNotFound, "the other host has ended the transfer");
}

Error error_of(const wire::Failed& failed) {
  const bool known = failed.kind() >= static_cast<int>(ErrorKind::kUsage) &&
                     failed.kind() <= static_cast<int>(ErrorKind::kPermission);
  std::string text = failed.reason().substr(0, kLongestReason);
  std::replace_if(
      text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20; }, '?');
  return make_error(known ? static_cast<ErrorKind>(failed.kind()) : ErrorKind::kSystem,
                    "the other host says: " + text);
}

}  // namespace

Status Stream::send(const wire::Message& message) {
  const std::size_t size = message.ByteSizeLong();
  CK_CHECK(size <= kLongestTransferMessage);
  buffer_.resize(kHeaderBytes + size);
  for (std::size_t i = 0; i < kHeaderBytes; ++i)
    buffer_[i] = static_cast<char>(size >> (8 * i) & 0xff);
  message.SerializeToArray(buffer_.data() + kHeaderBytes, static_cast<int>(size));
  for (std::size_t done = 0; done < buffer_.size();) {
    const ssize_t count =
        ::send(socket_.get(), buffer_.data() + done, buffer_.size() - done, MSG_NOSIGNAL);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && (errno == EPIPE || errno == ECONNRESET)) return closed();
    if (count < 0) return sys_error("send to the other host");
    done += static_cast<std::size_t>(count);
  }
  return {};
}

Status Stream::read_all(char* into, std::size_t size, bool& ended) {
  for (std::size_t done = 0; done < size;) {
    const ssize_t count = ::recv(socket_.get(), into + done, size - done, 0);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0 && errno != ECONNRESET) return sys_error("receive from the other host");
    if (count <= 0) {
      ended = true;
      return done == 0 ? Status() : closed();
    }
    done += static_cast<std::size_t>(count);
  }
  return {};
}

Result<wire::Message> Stream::receive() {
  std::array<unsigned char, kHeaderBytes> header;
  bool ended = false;
  CK_TRY(read_all(reinterpret_cast<char*>(header.data()), header.size(), ended));
  if (ended) return closed();
  std::uint32_t size = 0;
  for (std::size_t i = 0; i < kHeaderBytes; ++i) size |= std::uint32_t{header[i]} << (8 * i);
  if (size > kLongestTransferMessage)
    return make_error(ErrorKind::kRefused, "a peer sends a message that is too long");
  buffer_.resize(size);
  CK_TRY(read_all(buffer_.data(), size, ended));
  if (ended) return closed();
  wire::Message message;
  if (!message.ParseFromString(buffer_))
    return make_error(ErrorKind::kRefused, "a peer sends a damaged message");
  return message;
}

Result<wire::Message> Stream::receive(wire::Message::KindCase expected) {
  wire::Message message = CK_TRY(receive());
  if (message.has_failed()) return error_of(message.failed());
  if (message.kind_case() != expected)
    return make_error(ErrorKind::kRefused, "a peer sends something else than what is due");
  return message;
}

void Stream::fail(const Error& error) {
  wire::Message message;
  message.mutable_failed()->set_kind(static_cast<int>(error.kind));
  message.mutable_failed()->set_reason(error.text().substr(0, kLongestReason));
  (void)send(message);
}

}  // namespace ck::driver::transfer
