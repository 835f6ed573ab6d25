// Frames over a stream, with a deadline for each step: a peer that is slow or silent has its
// connection closed. The daemon's thread only.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/ssl/stream.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "driver/daemon/task.h"

namespace ck::daemon {

using TlsStream = asio::ssl::stream<asio::ip::tcp::socket>;
using LocalStream = asio::local::stream_protocol::socket;

// A host's first answer waits for nothing: behind TLS's session tickets, the kernel would hold it
// back until these are acknowledged, which takes the other end 40 ms (RFC 896, RFC 1122 4.2.3.2).
inline void send_at_once(asio::ip::tcp::socket& socket) {
  boost::system::error_code ignored;
  socket.set_option(asio::ip::tcp::no_delay(true), ignored);
}

template <typename Stream>
class Channel {
  struct State {
    explicit State(Stream s) : stream(std::move(s)) {}
    void close();
    Stream stream;
    bool expired = false;
  };

 public:
  // Closes the stream if it lives too long. There may be several at once.
  class Deadline {
   public:
    Deadline(std::shared_ptr<State> state, milliseconds patience);
    Deadline(const Deadline&) = delete;
    Deadline& operator=(const Deadline&) = delete;
    ~Deadline() { *over_ = true; }

   private:
    asio::steady_timer timer_;
    std::shared_ptr<bool> over_ = std::make_shared<bool>(false);
  };

  explicit Channel(Stream stream) : state_(std::make_shared<State>(std::move(stream))) {}
  Channel(Channel&&) noexcept = default;
  Channel& operator=(Channel&&) noexcept = default;
  ~Channel() {
    if (state_) state_->close();
  }

  Stream& stream() { return state_->stream; }
  Deadline deadline(milliseconds patience) { return Deadline(state_, patience); }
  // Nothing to close where it has moved.
  void close() {
    if (state_) state_->close();
  }
  explicit operator bool() const { return state_ != nullptr; }  // false: it has moved

  // Of a channel that may have moved, or be gone.
  class Handle {
   public:
    explicit Handle(const Channel& channel) : state_(channel.state_) {}
    bool gone() const { return state_.expired(); }
    void close() const {
      if (const auto state = state_.lock()) state->close();
    }

   private:
    std::weak_ptr<State> state_;
  };

  // The next message's bytes; empty if the other end has closed the connection between messages.
  // It may be silent for `idle` first, and may then take `patience` for the rest.
  Task<Result<std::string>> receive(std::uint32_t limit, milliseconds idle, milliseconds patience);
  Task<Status> send(std::string frame, milliseconds patience);

  // Why a step failed: the deadline, or what the system or TLS says.
  Error failure(const boost::system::error_code& error) const;

 private:
  std::shared_ptr<State> state_;
};

using TlsChannel = Channel<TlsStream>;
using LocalChannel = Channel<LocalStream>;
extern template class Channel<TlsStream>;
extern template class Channel<LocalStream>;

// For co_await: errors come as an error_code beside the result, not as an exception.
inline constexpr auto kAsTuple = asio::as_tuple_t<asio::use_awaitable_t<>>(asio::use_awaitable);

}  // namespace ck::daemon
