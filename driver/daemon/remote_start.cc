#include "driver/daemon/remote_start.h"

#include "driver/daemon/event_log.h"
#include "driver/daemon/peer_courier.h"
#include "driver/daemon/peer_link.h"
#include "driver/daemon/step_process.h"
#include "driver/migrate/start_step.h"

namespace ck::daemon {
namespace {

using protocol::wire::PeerMessage;
using protocol::wire::RunOrder;
using protocol::wire::Started;

// A host that is busy may take long to start a program. It is not asked twice.
constexpr milliseconds kStartPatience{30000};

// Its own words say which host they are about.
Error not_heard(Error error, const std::string& host) {
  if (error.message.starts_with("host ")) return error;
  if (error.kind == ErrorKind::kTryAgain || error.kind == ErrorKind::kSystem)
    error.hint = "the job may run there all the same: ckpt ls --all-hosts";
  return std::move(error).within("host " + host);
}

}  // namespace

Task<Result<Started>> start_here(State& state, std::string user, RunOrder order, std::string from) {
  CK_CO_CHECK(state.check_takes_jobs());
  Result<std::optional<User>> whose = user_to_become(user);
  if (!whose.ok()) co_return std::move(whose).error().within("host " + state.host());
  StepWork work;
  work.what = "starting a job of user " + user;
  work.patience = kQuickStep;
  work.user = *std::move(whose);
  work.run = [order = std::move(order),
              folder = work.user ? std::string() : state.options().jobs_dir](
                 const auto&) -> Result<driver::migrate::wire::Result> {
    driver::migrate::wire::Result result;
    *result.mutable_started() = CK_TRY(driver::migrate::start_program(folder, order));
    return result;
  };
  auto process = std::make_shared<StepProcess>();
  auto done = co_await run_step(process, std::move(work));
  if (!done.ok()) co_return std::move(done).error().within("host " + state.host());
  const Started started = done->started();
  log_info(started.has_failure() ? "job not started" : "job started",
           {{"user", user},
            {"from", from},
            {"job", started.name()},
            {"reason", started.failure().message()}});
  co_return started;
}

Task<Result<Started>> start_at(State& state, std::string user, protocol::wire::RunRequest request) {
  if (request.host() == state.host())
    co_return co_await start_here(state, std::move(user), request.order(), state.host());
  CK_CO_CHECK(state.check_member());
  CK_CO_TRY(cluster::Peer peer, find_peer(state, request.host()));
  auto link = co_await PeerLink::connect(state, peer);
  if (!link.ok()) co_return std::move(link).error().within("host " + request.host());
  PeerMessage question;
  question.mutable_run()->set_user(user);
  *question.mutable_run()->mutable_order() = std::move(*request.mutable_order());
  auto answer = co_await link->ask(std::move(question), PeerMessage::kStarted, kStartPatience);
  if (!answer.ok()) co_return not_heard(std::move(answer).error(), request.host());
  co_return answer->started();
}

}  // namespace ck::daemon
