#include "driver/daemon/http_server.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include "driver/daemon/channel.h"
#include "driver/daemon/event_log.h"
#include "driver/daemon/host_report.h"
#include "driver/daemon/spawn.h"
#include "driver/protocol/check.h"

namespace ck::daemon {
namespace {

using asio::ip::tcp;

constexpr milliseconds kPatience{2000};
constexpr milliseconds kAcceptPause{200};
constexpr std::size_t kLongestRequest = 4096;
constexpr unsigned kMostConnections = 16;

std::string response(const char* status, const std::string& body) {
  return std::string("HTTP/1.1 ") + status +
         "\r\nContent-Type: text/plain; version=0.0.4; charset=utf-8\r\nConnection: close\r\n"
         "Content-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::string answer(State& state, const std::string& request) {
  std::string line = request.substr(0, request.find('\r'));
  if (line.starts_with("GET /metrics ")) {
    Result<protocol::wire::HostReport> report = report_host(state.host());
    if (report.ok()) state.metrics().show_host(*report);
    return response("200 OK", state.metrics().text());
  }
  if (line.starts_with("GET /healthz ")) {
    Status health = state.health();
    if (health.ok()) return response("200 OK", "ok\n");
    return response("503 Service Unavailable", health.error().text() + "\n");
  }
  return response("404 Not Found", "there is /metrics and /healthz\n");
}

Task<void> serve_one(State& state, tcp::socket socket,
                     [[maybe_unused]] std::shared_ptr<void> counted) {
  asio::steady_timer timer(socket.get_executor(), kPatience);
  auto shared = std::make_shared<tcp::socket>(std::move(socket));
  timer.async_wait([shared](boost::system::error_code error) {
    if (!error) shared->close(error);
  });
  std::string request;
  auto buffer = asio::dynamic_buffer(request, kLongestRequest);
  auto [error, size] = co_await asio::async_read_until(*shared, buffer, "\r\n\r\n", kAsTuple);
  if (error) co_return;
  std::string text = answer(state, request);
  co_await asio::async_write(*shared, asio::buffer(text), kAsTuple);
}

}  // namespace

Result<tcp::endpoint> metrics_endpoint(const std::string& address) {
  protocol::Address parts = CK_TRY(protocol::split_address(address));
  boost::system::error_code error;
  auto host = asio::ip::make_address(parts.host, error);
  if (error || !host.is_loopback()) {
    return make_error(ErrorKind::kUsage, "metrics are not served at " + address,
                      "choose a local address such as 127.0.0.1:9381");
  }
  return tcp::endpoint(host, static_cast<unsigned short>(std::stoi(parts.port)));
}

Task<void> serve_metrics(State& state, tcp::acceptor& acceptor) {
  auto open = std::make_shared<unsigned>(0);
  asio::steady_timer pause(acceptor.get_executor());
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(kAsTuple);
    if (!acceptor.is_open()) co_return;
    if (error) {  // out of descriptors, most likely: not worth a busy loop
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kAsTuple);
    }
    if (error || *open >= kMostConnections) continue;
    ++*open;
    std::shared_ptr<void> counted(nullptr, [open](void*) { --*open; });
    spawn(acceptor.get_executor(), serve_one(state, std::move(socket), std::move(counted)));
  }
}

}  // namespace ck::daemon
