#include "driver/daemon/daemon.h"

#include <sys/stat.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>

#include "driver/daemon/balancer.h"
#include "driver/daemon/control_server.h"
#include "driver/daemon/event_log.h"
#include "driver/daemon/handovers.h"
#include "driver/daemon/http_server.h"
#include "driver/daemon/listeners.h"
#include "driver/daemon/peer_server.h"
#include "driver/daemon/refresh.h"
#include "driver/daemon/spawn.h"

namespace ck::daemon {
namespace {

using asio::ip::tcp;

constexpr milliseconds kStopPatience{10'000};

class Daemon {
 public:
  Daemon(State& state, asio::io_context& io)
      : state_(state),
        io_(io),
        control_(io),
        peers_(io),
        metrics_(io),
        peer_server_(state),
        refresher_(state, io.get_executor()),
        handovers_(state, io.get_executor(), state.options().state_folder),
        balancer_(state, io.get_executor()) {}

  // Everything that can fail at the start; then run() of the io_context serves.
  Task<Status> start();
  Task<void> handle_signals();
  const std::optional<Error>& failure() const { return failure_; }
  Task<void> start_or_stop();

 private:
  Task<Status> reload();
  Task<void> reload_by_signal() { (void)co_await reload(); }
  Status listen_to_peers();  // if there is a cluster
  Status listen_for_metrics();
  Task<void> stop();

  State& state_;
  asio::io_context& io_;
  asio::local::stream_protocol::acceptor control_;
  UniqueFd control_lock_;
  tcp::acceptor peers_, metrics_;
  PeerServer peer_server_;
  Refresher refresher_;
  Handovers handovers_;
  Balancer balancer_;
  std::optional<Error> failure_;
};

Status Daemon::listen_to_peers() {
  if (!state_.configuration().tls || peers_.is_open()) return {};
  tcp::endpoint endpoint = CK_TRY(tcp_endpoint(state_.cluster().listen));
  peers_ = CK_TRY(listen_tcp(io_.get_executor(), endpoint));
  spawn(io_.get_executor(), peer_server_.serve(peers_));
  log_info("listening", {{"address", state_.cluster().listen}, {"host", state_.host()}});
  return {};
}

Status Daemon::listen_for_metrics() {
  const std::string& address = state_.configuration().settings.metrics_listen;
  if (address.empty() || metrics_.is_open()) return {};
  tcp::endpoint endpoint = CK_TRY(metrics_endpoint(address));
  metrics_ = CK_TRY(listen_tcp(io_.get_executor(), endpoint));
  spawn(io_.get_executor(), serve_metrics(state_, metrics_));
  return {};
}

Task<Status> Daemon::start() {
  CK_CO_CHECK(co_await state_.load());
  CK_CO_TRY(ControlSocket control, listen_local(io_.get_executor(), state_.options().socket));
  control_ = std::move(control.acceptor);
  control_lock_ = std::move(control.lock);
  CK_CO_CHECK(co_await handovers_.open());
  CK_CO_CHECK(balancer_.open());
  state_.handovers = &handovers_;
  state_.balancer = &balancer_;
  CK_CO_CHECK(listen_to_peers());
  CK_CO_CHECK(listen_for_metrics());
  spawn(io_.get_executor(), serve_control(state_, control_));
  state_.reload = [this] { return reload(); };
  spawn(io_.get_executor(), refresher_.run());
  spawn(io_.get_executor(), balancer_.run());
  Status health = state_.health();
  if (!health.ok()) log_warning("not healthy", {{"reason", health.error().text()}});
  log_info("ready", {{"host", state_.host()}, {"socket", state_.options().socket}});
  spawn(io_.get_executor(), refresher_.tell_peers());
  co_return Status();
}

Task<void> Daemon::start_or_stop() {
  Status started = co_await start();
  if (started.ok()) co_return;
  failure_ = started.error();
  io_.stop();
}

Task<Status> Daemon::reload() {
  auto number = [this] {
    const auto& member = state_.configuration().member;
    return member ? member->revoked.number() : 0;
  };
  std::uint64_t before = number();
  Status loaded = co_await state_.load();
  if (loaded.ok()) loaded = listen_to_peers();
  if (loaded.ok()) loaded = listen_for_metrics();
  if (!loaded.ok()) {
    log_warning("reload failed", {{"reason", loaded.error().text()}});
    co_return loaded;
  }
  log_info("reloaded", {{"peers", std::to_string(state_.configuration().peers.size())}});
  if (number() != before) state_.connections->close_all();
  refresher_.wake();
  balancer_.wake();
  spawn(io_.get_executor(), refresher_.tell_peers());
  co_return Status();
}

Task<void> Daemon::handle_signals() {
  asio::signal_set signals(io_, SIGTERM, SIGINT, SIGHUP);
  for (;;) {
    int number = co_await signals.async_wait(asio::use_awaitable);
    if (number == SIGHUP) {
      spawn(io_.get_executor(), reload_by_signal());
      continue;
    }
    log_info("stopping", {{"signal", std::to_string(number)}});
    co_await stop();
    co_return;
  }
}

// A job that stands still for a hand-over would do so until the next start: it goes on here first.
Task<void> Daemon::stop() {
  if (control_.is_open()) unlink(state_.options().socket.c_str());
  boost::system::error_code ignored;
  control_.close(ignored);
  peers_.close(ignored);
  metrics_.close(ignored);
  co_await handovers_.take_back(kStopPatience);
  state_.handovers = nullptr;
  state_.balancer = nullptr;
  handovers_.close();
  state_.connections->close_all();
  io_.stop();
}

}  // namespace

Status run_daemon(Options options) {
  umask(077);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);         // a full quota is an error of write(), not an end
  State state(std::move(options));  // outlives the coroutines, which end with the io_context
  asio::io_context io(1);
  Daemon daemon(state, io);
  spawn(io.get_executor(), daemon.handle_signals());
  spawn(io.get_executor(), daemon.start_or_stop());
  io.run();
  if (daemon.failure()) return *daemon.failure();
  return {};
}

}  // namespace ck::daemon
