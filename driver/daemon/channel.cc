#include "driver/daemon/channel.h"

#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>

#include "driver/cluster/tls.h"
#include "driver/protocol/frame.h"

namespace ck::daemon {

using boost::system::error_code;

template <typename Stream>
void Channel<Stream>::State::close() {
  error_code ignored;
  stream.lowest_layer().close(ignored);
}

template <typename Stream>
Channel<Stream>::Deadline::Deadline(std::shared_ptr<State> state, milliseconds patience)
    : timer_(state->stream.get_executor(), patience) {
  // A timer that has gone off cannot be cancelled any more: its handler may run when we are gone.
  timer_.async_wait([state, over = over_](error_code error) {
    if (error || *over) return;
    state->expired = true;
    state->close();
  });
}

template <typename Stream>
Error Channel<Stream>::failure(const error_code& error) const {
  if (state_->expired) return make_error(ErrorKind::kTryAgain, "it was silent for too long");
  ErrorKind kind = cluster::is_refusal(error) ? ErrorKind::kPermission : ErrorKind::kSystem;
  Error failure = make_error(kind, cluster::describe_tls(error));
  if (error.category() == boost::system::system_category()) failure.errnum = error.value();
  return failure;
}

template <typename Stream>
Task<Result<std::string>> Channel<Stream>::receive(std::uint32_t limit, milliseconds idle,
                                                   milliseconds patience) {
  protocol::FrameHeader header;
  {
    Deadline guard(state_, idle);
    auto [error, size] = co_await asio::async_read(state_->stream, asio::buffer(header), kAsTuple);
    bool ended = error == asio::error::eof || error == asio::ssl::error::stream_truncated;
    if (ended && size == 0 && !state_->expired) co_return std::string();
    if (error) co_return failure(error);
  }
  CK_CO_TRY(std::uint32_t length, protocol::frame_length(header, limit));
  std::string body(length, '\0');
  Deadline guard(state_, patience);
  auto [error, size] = co_await asio::async_read(state_->stream, asio::buffer(body), kAsTuple);
  if (error) co_return failure(error);
  co_return body;
}

template <typename Stream>
Task<Status> Channel<Stream>::send(std::string frame, milliseconds patience) {
  Deadline guard(state_, patience);
  auto [error, size] = co_await asio::async_write(state_->stream, asio::buffer(frame), kAsTuple);
  if (error) co_return failure(error);
  co_return Status();
}

template class Channel<TlsStream>;
template class Channel<LocalStream>;

}  // namespace ck::daemon
