#include "driver/daemon/control_server.h"

#include <sys/socket.h>

#include <boost/asio/write.hpp>

#include "driver/daemon/balancer.h"
#include "driver/daemon/channel.h"
#include "driver/daemon/event_log.h"
#include "driver/daemon/follow.h"
#include "driver/daemon/handovers.h"
#include "driver/daemon/peers_ask.h"
#include "driver/daemon/remote_start.h"
#include "driver/daemon/spawn.h"
#include "driver/daemon/terminals.h"
#include "driver/daemon/users.h"
#include "driver/protocol/frame.h"

namespace ck::daemon {
namespace {

using protocol::wire::ControlReply;
using protocol::wire::ControlRequest;

constexpr milliseconds kPatience{5000};
constexpr milliseconds kAcceptPause{200};
constexpr std::uint32_t kLongestRequest = 768u << 10;  // an environment may be in it
constexpr unsigned kMostSessions = 64;
constexpr unsigned kMostOfUser = 16;  // so that one user cannot keep the others out

struct Sessions {
  unsigned all = 0;
  std::map<uid_t, unsigned> by_user;
  unsigned terminals = 0;  // not among the above: they last
};

Result<uid_t> user_of(int fd) {
  ucred peer{};
  socklen_t size = sizeof peer;
  if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) {
    return sys_error("find out who asks");
  }
  if (peer.uid == geteuid() || peer.uid == 0 || geteuid() == 0) return peer.uid;
  return make_error(ErrorKind::kPermission,
                    "this ckd serves user " + user_name(geteuid()) + " only");
}

Task<void> watch_client(std::shared_ptr<LocalChannel> channel, std::shared_ptr<bool> gone) {
  char nothing = 0;
  (void)co_await channel->stream().async_read_some(asio::buffer(&nothing, 1), kAsTuple);
  *gone = true;
}

void tell_progress(LocalChannel& channel, const driver::migrate::wire::Progress& progress,
                   bool& gone) {
  if (gone) return;
  ControlReply reply;
  reply.mutable_progress()->set_what(progress.what());
  reply.mutable_progress()->set_done_bytes(progress.done_bytes());
  reply.mutable_progress()->set_total_bytes(progress.total_bytes());
  reply.mutable_progress()->set_expected_downtime_ns(progress.expected_downtime_ns());
  Result<std::string> frame = protocol::make_frame(reply);
  if (!frame.ok()) return;
  // Small, and seldom: a client that does not read it (one that was stopped) misses some.
  boost::system::error_code error;
  channel.stream().non_blocking(true, error);
  const std::size_t sent = asio::write(channel.stream(), asio::buffer(*frame), error);
  if (error == asio::error::would_block && sent == 0) return;
  if (sent != frame->size()) gone = true;
}

// A client that waits for what comes of jobs, and hears of it meanwhile.
struct Waiter {
  Handovers::OnProgress on_progress;
  std::function<bool()> cancelled;  // it has gone
};

Waiter wait_with(const std::shared_ptr<LocalChannel>& channel) {
  auto gone = std::make_shared<bool>(false);
  spawn(channel->stream().get_executor(), watch_client(channel, gone));
  return {[channel, gone](const driver::migrate::wire::Progress& progress) {
            tell_progress(*channel, progress, *gone);
          },
          [gone] { return *gone; }};
}

Status check_ready(const State& state) {
  if (state.handovers != nullptr && state.balancer != nullptr) return {};
  return make_error(ErrorKind::kTryAgain, "this ckd is just starting");
}

Task<Result<ControlReply>> follow(State& state, std::shared_ptr<LocalChannel> channel, uid_t user,
                                  protocol::wire::FollowRequest request) {
  Waiter waiter = wait_with(channel);
  std::function<void(const std::string&)> tell = [waiter](const std::string& host) {
    driver::migrate::wire::Progress progress;
    progress.set_what("on " + host);
    waiter.on_progress(progress);
  };
  auto followed = follow_job(state, user_name(user), std::move(request), std::move(tell),
                             std::move(waiter.cancelled));
  ControlReply reply;
  CK_CO_TRY(*reply.mutable_follow(), co_await std::move(followed));
  co_return reply;
}

// The client hears of the progress meanwhile; if it goes, the job stays.
Task<Result<ControlReply>> migrate(State& state, std::shared_ptr<LocalChannel> channel, uid_t user,
                                   protocol::wire::MigrateRequest request) {
  CK_CO_CHECK(check_ready(state));
  // Named: GCC 12 destroys a closure that is made within an expression with co_await twice.
  Waiter waiter = wait_with(channel);
  Handovers::Wish wish{user_name(user),       request.target(),    request.host(),
                       request.jobs_folder(), request.bandwidth(), request.files()};
  auto moved = state.handovers->migrate(std::move(wish), std::move(waiter.on_progress),
                                        std::move(waiter.cancelled));
  ControlReply reply;
  CK_CO_TRY(*reply.mutable_migrate(), co_await std::move(moved));
  co_return reply;
}

Task<Result<ControlReply>> auto_migrate(State& state, std::shared_ptr<LocalChannel> channel,
                                        uid_t user, protocol::wire::AutoMigrateRequest request) {
  CK_CO_CHECK(check_ready(state));
  Waiter waiter = wait_with(channel);
  auto moving = state.balancer->migrate(user_name(user), std::move(request),
                                        std::move(waiter.on_progress), std::move(waiter.cancelled));
  ControlReply reply;
  CK_CO_TRY(*reply.mutable_moves(), co_await std::move(moving));
  co_return reply;
}

Status check_drain(const State& state, uid_t user, const std::string& host) {
  CK_TRY(check_ready(state));
  if (user != geteuid() && user != 0)
    return make_error(ErrorKind::kPermission, "only the administrator may drain a host",
                      "root, or the user whose ckd it is");
  // What a user may do on another host only that host knows.
  if (host == state.host()) return {};
  return make_error(ErrorKind::kRefused,
                    "this is host " + state.host() + ", and a host is drained by its own ckd",
                    "run the command on host " + host);
}

Task<Result<ControlReply>> drain(State& state, std::shared_ptr<LocalChannel> channel, uid_t user,
                                 protocol::wire::DrainRequest request) {
  CK_CO_CHECK(check_drain(state, user, request.host()));
  ControlReply reply;
  if (request.end()) {
    CK_CO_TRY(*reply.mutable_moves(), state.balancer->undrain());
    co_return reply;
  }
  Waiter waiter = wait_with(channel);
  auto draining = state.balancer->drain(std::move(waiter.on_progress), std::move(waiter.cancelled));
  CK_CO_TRY(*reply.mutable_moves(), co_await std::move(draining));
  co_return reply;
}

Task<Result<ControlReply>> run(State& state, uid_t user, protocol::wire::RunRequest request) {
  ControlReply reply;
  CK_CO_TRY(*reply.mutable_started(),
            co_await start_at(state, user_name(user), std::move(request)));
  co_return reply;
}

Result<ControlReply> resolve(State& state, uid_t user, const ControlRequest& request) {
  CK_TRY(check_ready(state));
  const bool all = user == 0 || user == geteuid();
  const std::string whose = all ? std::string() : user_name(user);
  ControlReply reply;
  if (request.has_handovers()) {
    *reply.mutable_handovers() = CK_TRY(state.handovers->list(whose));
    return reply;
  }
  reply.mutable_resolve()->set_text(CK_TRY(
      state.handovers->resolve(whose, request.resolve().handover(), request.resolve().how())));
  return reply;
}

Task<Result<ControlReply>> answer(State& state, std::shared_ptr<LocalChannel> channel, uid_t user,
                                  ControlRequest request) {
  ControlReply reply;
  switch (request.kind_case()) {
    case ControlRequest::kHosts: {
      CK_CO_TRY(*reply.mutable_hosts(), co_await ask_hosts(state));
      break;
    }
    case ControlRequest::kAllJobs: {
      CK_CO_TRY(*reply.mutable_all_jobs(), co_await ask_jobs(state, user_name(user)));
      break;
    }
    case ControlRequest::kReload:
      if (user != geteuid() && user != 0) {
        co_return make_error(ErrorKind::kPermission, "only the administrator may reload ckd");
      }
      CK_CO_CHECK(co_await state.reload());
      reply.mutable_reload();
      break;
    case ControlRequest::kMigrate:
      co_return co_await migrate(state, channel, user, request.migrate());
    case ControlRequest::kFollow:
      co_return co_await follow(state, channel, user, request.follow());
    case ControlRequest::kRun:
      co_return co_await run(state, user, request.run());
    case ControlRequest::kAutoMigrate:
      co_return co_await auto_migrate(state, channel, user, request.auto_migrate());
    case ControlRequest::kDrain:
      co_return co_await drain(state, channel, user, request.drain());
    case ControlRequest::kHandovers:
    case ControlRequest::kResolve:
      co_return resolve(state, user, request);
    case ControlRequest::kTerminal:
    case ControlRequest::KIND_NOT_SET:
      co_return make_error(ErrorKind::kBug, "a request without a kind was not refused");
  }
  co_return reply;
}

Task<Status> send_reply(LocalChannel& channel, const Result<ControlReply>& reply) {
  ControlReply message;
  if (reply.ok()) {
    message = *reply;
  } else {
    *message.mutable_error() = protocol::refusal_of(reply.error());
  }
  CK_CO_TRY(std::string frame, protocol::make_frame(message, protocol::kLongestControlReply));
  co_return co_await channel.send(std::move(frame), kPatience);
}

// The connection is the terminal's after the reply.
Task<void> serve_terminal(State& state, std::shared_ptr<LocalChannel> channel, uid_t user,
                          protocol::wire::TerminalRequest request,
                          std::shared_ptr<Sessions> sessions, std::shared_ptr<void> counted) {
  auto call = co_await call_terminal(state, user_name(user), std::move(request),
                                     channel->stream().native_handle());
  if (call.ok() && call->peer && sessions->terminals >= kMostTerminals)
    call = make_error(ErrorKind::kTryAgain, "too many terminals of other hosts are open");
  Result<ControlReply> reply = call.ok() ? Result<ControlReply>(call->reply) : call.error();
  const Status sent = co_await send_reply(*channel, reply);
  if (!sent.ok() || !call.ok() || !call->peer) co_return;
  counted.reset();
  ++sessions->terminals;
  (void)co_await pump(*std::move(call->peer), std::move(channel->stream()), kTerminalLimits);
  --sessions->terminals;
}

Task<void> serve_one(State& state, std::shared_ptr<LocalChannel> channel, uid_t user,
                     std::shared_ptr<Sessions> sessions, std::shared_ptr<void> counted) {
  auto bytes = co_await channel->receive(kLongestRequest, kPatience, kPatience);
  Result<ControlRequest> request =
      bytes.ok() ? protocol::parse_control_request(*bytes) : Result<ControlRequest>(bytes.error());
  if (!request.ok()) {
    Result<ControlReply> refusal(request.error());
    (void)co_await send_reply(*channel, refusal);
  } else if (request->has_terminal()) {
    co_await serve_terminal(state, channel, user, request->terminal(), std::move(sessions),
                            std::move(counted));
  } else {
    Result<ControlReply> reply = co_await answer(state, channel, user, *request);
    (void)co_await send_reply(*channel, reply);
    channel->close();  // who watches the client has it, too
  }
}

}  // namespace

Task<void> serve_control(State& state, asio::local::stream_protocol::acceptor& acceptor) {
  auto sessions = std::make_shared<Sessions>();
  asio::steady_timer pause(acceptor.get_executor());
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(kAsTuple);
    if (!acceptor.is_open()) co_return;
    if (error) {  // out of descriptors, most likely: not worth a busy loop
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kAsTuple);
      continue;
    }
    Result<uid_t> user = user_of(socket.native_handle());
    if (!user.ok()) {
      log_warning("question refused", {{"reason", user.error().message}});
      continue;
    }
    if (sessions->all >= kMostSessions || sessions->by_user[*user] >= kMostOfUser) continue;
    ++sessions->all;
    ++sessions->by_user[*user];
    std::shared_ptr<void> counted(nullptr, [sessions, user = *user](void*) {
      --sessions->all;
      if (--sessions->by_user[user] == 0) sessions->by_user.erase(user);
    });
    auto channel = std::make_shared<LocalChannel>(std::move(socket));
    spawn(acceptor.get_executor(),
          serve_one(state, std::move(channel), *user, sessions, std::move(counted)));
  }
}

}  // namespace ck::daemon
