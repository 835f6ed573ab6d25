// Messages of a transfer over a connected stream socket. Blocking: who uses it is a process of its
// own, which is killed when it has waited for too long. One thread.
#pragma once

#include <cstdint>
#include <string>

#include "driver/transfer/transfer.pb.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::driver::transfer {

// A chunk and what is around it.
inline constexpr std::uint32_t kLongestTransferMessage = (1u << 20) + (4u << 10);

class Stream {
 public:
  explicit Stream(UniqueFd socket) : socket_(std::move(socket)) {}

  Status send(const wire::Message& message);
  // kNotFound: the other side has closed the stream between two messages.
  Result<wire::Message> receive();
  // The same, but Failed comes back as the Error that it is, and another kind than `expected` and
  // the end of the stream as errors.
  Result<wire::Message> receive(wire::Message::KindCase expected);
  // Tells the other side; best effort.
  void fail(const Error& error);

 private:
  Status read_all(char* into, std::size_t size, bool& ended);
  UniqueFd socket_;
  std::string buffer_;
};

}  // namespace ck::driver::transfer
