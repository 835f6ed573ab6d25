#include "driver/daemon/terminals.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <algorithm>

#include "driver/daemon/follow.h"
#include "driver/daemon/handovers.h"
#include "driver/daemon/peer_courier.h"
#include "driver/daemon/peer_link.h"
#include "driver/daemon/step_process.h"
#include "driver/migrate/terminal_step.h"

namespace ck::daemon {
namespace {

using protocol::wire::PeerMessage;
using protocol::wire::TerminalOpen;

constexpr int kMostHops = 16;

// In a process of the job's owner, which gives `stream` to the terminal's server.
Task<Status> connect_here(State& state, TerminalOpen wish, UniqueFd stream) {
  StepWork work;
  work.what = "finding the terminal of job " + wish.job();
  work.patience = kQuickStep;
  CK_CO_TRY(work.user, user_to_become(wish.user()));
  work.stream = stream.get();
  work.run = [wish, folder = work.user ? std::string() : state.options().jobs_dir,
              fd = work.stream](const auto&) -> Result<driver::migrate::wire::Result> {
    CK_TRY(driver::migrate::connect_terminal(folder, wish.job(), wish.server(), UniqueFd(fd)));
    return driver::migrate::wire::Result();
  };
  auto process = std::make_shared<StepProcess>();
  auto done = co_await run_step(process, std::move(work), std::move(stream));
  co_return done.ok() ? Status() : Status(std::move(done).error());
}

// The peer's word that there is no such thing is another than that it cannot be asked.
Task<Result<std::optional<TlsChannel>>> connect_there(State& state, std::string host,
                                                      TerminalOpen wish) {
  CK_CO_TRY(cluster::Peer peer, find_peer(state, host));
  CK_CO_TRY(PeerLink link, co_await PeerLink::connect(state, peer));
  PeerMessage question;
  *question.mutable_terminal_open() = std::move(wish);
  auto answer = co_await link.ask(std::move(question), PeerMessage::kTerminalReady);
  if (!answer.ok() && answer.error().kind == ErrorKind::kNotFound)
    co_return std::optional<TlsChannel>();
  CK_CO_CHECK(answer.ok() ? Status() : Status(std::move(answer).error()));
  co_return std::optional(std::move(link).release());
}

// False: it has no such server.
Task<Result<bool>> connect_at(State& state, std::string host, TerminalOpen wish, int client,
                              TerminalCall& call) {
  call.reply.mutable_terminal()->set_host(host);
  if (host != state.host()) {
    CK_CO_TRY(call.peer, co_await connect_there(state, host, std::move(wish)));
    co_return call.peer.has_value();
  }
  UniqueFd own(::fcntl(client, F_DUPFD_CLOEXEC, 0));
  if (!own) co_return sys_error("pass a connection on");
  Status given = co_await connect_here(state, std::move(wish), std::move(own));
  if (given.ok()) co_return true;
  if (given.error().kind == ErrorKind::kNotFound) co_return false;
  co_return std::move(given).error();
}

bool is_handed_over(State& state, const std::string& user, const std::string& job) {
  const auto undecided = state.handovers->list(user);
  return undecided.ok() &&
         std::any_of(undecided->rows().begin(), undecided->rows().end(),
                     [&](const protocol::wire::HandoverRow& row) { return row.job() == job; });
}

}  // namespace

Task<Result<LocalStream>> open_terminal(State& state, TerminalOpen wish) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    co_return sys_error("make a socket for a terminal");
  UniqueFd ours(ends[0]), theirs(ends[1]);
  CK_CO_CHECK(co_await connect_here(state, std::move(wish), std::move(theirs)));
  LocalStream stream(co_await asio::this_coro::executor);
  boost::system::error_code error;
  stream.assign(asio::local::stream_protocol(), ours.release(), error);
  if (error) co_return make_error(ErrorKind::kSystem, "use a socket: " + error.message());
  co_return stream;
}

// First to who was spoken to before: it knows what that user has and has not, also of a job that
// has gone on or ended.
Task<Result<TerminalCall>> call_terminal(State& state, std::string user,
                                         protocol::wire::TerminalRequest request, int client) {
  TerminalCall call;
  TerminalOpen wish;
  wish.set_user(user);
  wish.set_job(request.job());
  std::string host = request.host().empty() ? state.host() : request.host();
  if (request.server() != 0) {
    wish.set_server(request.server());
    CK_CO_TRY(bool there, co_await connect_at(state, host, wish, client, call));
    if (there) co_return call;
    wish.clear_server();
  }
  for (int hops = 0; hops < kMostHops; ++hops) {
    const bool in_doubt = is_handed_over(state, user, request.job());
    CK_CO_TRY(Whereabouts found, co_await look_there_and_here(state, user, request.job(), host));
    if (!found.went_on.empty()) {
      host = found.went_on;
      continue;
    }
    auto there = co_await connect_at(state, host, wish, client, call);
    if (there.ok() && *there) co_return call;
    if (!found.end && host == state.host() && !found.runs && !in_doubt)
      found.end.emplace().set_host(host);  // it has died, and nobody brings it back
    if (!found.end && !there.ok()) co_return std::move(there).error();
    if (!found.end)
      co_return make_error(ErrorKind::kTryAgain, "it does not run on host " + host + " now");
    *call.reply.mutable_follow() = *found.end;
    co_return call;
  }
  co_return make_error(ErrorKind::kTryAgain, "it goes from host to host");
}

}  // namespace ck::daemon
