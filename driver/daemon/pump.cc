#include "driver/daemon/pump.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <boost/asio/write.hpp>
#include <vector>

#include "driver/daemon/spawn.h"

namespace ck::daemon {
namespace {

using boost::system::error_code;
using driver::transfer::TokenBucket;

constexpr std::size_t kPart = 128u << 10;
constexpr std::uint64_t kBurst = 256u << 10;

// A host that is gone, or cannot be reached any more, is noticed within half a minute, also while
// there is nothing to say.
void notice_lost_peer(asio::ip::tcp::socket& socket) {
  const int fd = socket.native_handle();
  const auto set = [fd](int level, int option, int value) {
    ::setsockopt(fd, level, option, &value, sizeof value);
  };
  set(SOL_SOCKET, SO_KEEPALIVE, 1);
  set(IPPROTO_TCP, TCP_KEEPIDLE, 10);
  set(IPPROTO_TCP, TCP_KEEPINTVL, 5);
  set(IPPROTO_TCP, TCP_KEEPCNT, 4);
  set(IPPROTO_TCP, TCP_USER_TIMEOUT, 30'000);
}

struct Both {
  Both(TlsChannel peer, LocalStream process, const PumpLimits& with)
      : channel(std::move(peer)),
        local(std::move(process)),
        limits(with),
        bucket(with.bandwidth, kBurst),
        silence(local.get_executor()),
        rest(local.get_executor()),
        done(local.get_executor(), asio::steady_timer::time_point::max()) {}

  // Both directions then end.
  void close() {
    error_code ignored;
    channel.close();
    local.close(ignored);
    silence.cancel();
    rest.cancel();
  }
  void moved() { silence.expires_after(limits.silence); }

  TlsChannel channel;
  LocalStream local;
  PumpLimits limits;
  TokenBucket bucket;
  asio::steady_timer silence;
  asio::steady_timer rest;  // of the bandwidth
  asio::steady_timer done;
  std::uint64_t sent = 0;
  bool over = false;
  unsigned working = 2;
};

Task<void> to_peer(Both& both) {
  std::vector<char> part(kPart);
  for (;;) {
    auto [error, size] = co_await both.local.async_read_some(asio::buffer(part), kAsTuple);
    if (error) break;
    both.rest.expires_at(std::chrono::time_point_cast<asio::steady_timer::duration>(
        both.bucket.take(size, std::chrono::steady_clock::now())));
    (void)co_await both.rest.async_wait(kAsTuple);
    if (both.over) break;
    auto [cut, count] = co_await asio::async_write(both.channel.stream(),
                                                   asio::buffer(part.data(), size), kAsTuple);
    if (cut) break;
    both.sent += count;
    both.moved();
  }
}

Task<void> from_peer(Both& both) {
  std::vector<char> part(kPart);
  for (;;) {
    auto [error, size] =
        co_await both.channel.stream().async_read_some(asio::buffer(part), kAsTuple);
    if (error) break;
    auto [cut, count] =
        co_await asio::async_write(both.local, asio::buffer(part.data(), size), kAsTuple);
    if (cut) break;
    both.moved();
  }
}

// Whichever ends first ends the other.
Task<void> one_way(std::shared_ptr<Both> both, Task<void> (*way)(Both&)) {
  co_await way(*both);
  both->over = true;
  both->close();
  if (--both->working == 0) both->done.cancel();
}

Task<void> watch_silence(std::shared_ptr<Both> both) {
  both->moved();
  while (!both->over) {
    auto [error] = co_await both->silence.async_wait(kAsTuple);
    if (error) continue;  // something has moved, or it is over
    both->over = true;
    both->close();
  }
}

}  // namespace

Task<std::uint64_t> pump(TlsChannel channel, LocalStream local, PumpLimits limits) {
  auto executor = co_await asio::this_coro::executor;
  auto both = std::make_shared<Both>(std::move(channel), std::move(local), limits);
  notice_lost_peer(both->channel.stream().next_layer());
  spawn(executor, watch_silence(both));
  spawn(executor, one_way(both, to_peer));
  spawn(executor, one_way(both, from_peer));
  if (both->working > 0) co_await both->done.async_wait(kAsTuple);
  co_return both->sent;
}

}  // namespace ck::daemon
