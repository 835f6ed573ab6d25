#include "driver/daemon/follow.h"

#include <algorithm>
#include <array>
#include <boost/asio/steady_timer.hpp>
#include <charconv>

#include "driver/daemon/job_list.h"
#include "driver/daemon/peer_courier.h"
#include "driver/daemon/peer_link.h"
#include "runtime/job/settings.h"

namespace ck::daemon {
namespace {

using protocol::wire::FollowReply;
using protocol::wire::JobList;
using protocol::wire::PeerMessage;

constexpr unsigned kMostHops = 16;  // without a pause
constexpr std::string_view kElsewhere = "on ", kFinished = "finished ", kStopped = "stopped";
constexpr std::array<std::string_view, 3> kRunning{"running", "suspended", "orphaned"};

Task<Result<JobList>> jobs_at(State& state, std::string host, std::string user) {
  if (host == state.host()) co_return co_await list_jobs(user, state.options().jobs_dir);
  CK_CO_TRY(cluster::Peer peer, find_peer(state, host));
  PeerMessage question;
  question.mutable_jobs_query()->set_user(user);
  CK_CO_TRY(PeerMessage answer,
            co_await ask_peer(state, peer, std::move(question), PeerMessage::KindCase::kJobList));
  co_return answer.job_list();
}

// The end that a state tells of; nothing if it is none.
std::optional<FollowReply> end_of(std::string_view state, const std::string& host) {
  FollowReply reply;
  reply.set_host(host);
  if (state == kStopped) {
    reply.set_known(true);
    reply.set_exit_status(job::kDefaultStopExit);
    return reply;
  }
  if (!state.starts_with(kFinished)) return {};
  state.remove_prefix(kFinished.size());
  int status = 0;
  const auto [end, error] = std::from_chars(state.data(), state.data() + state.size(), status);
  reply.set_known(error == std::errc());
  reply.set_exit_status(status);
  return reply;
}

}  // namespace

Task<Result<Whereabouts>> look_for_job(State& state, std::string user, std::string job,
                                       std::string host) {
  CK_CO_TRY(JobList jobs, co_await jobs_at(state, host, user));
  Whereabouts found;
  for (const protocol::wire::JobRecord& record : jobs.jobs()) {
    if (record.id() != job) continue;
    found.known = true;
    found.runs = std::any_of(kRunning.begin(), kRunning.end(), [&](std::string_view running) {
      return record.state().starts_with(running);
    });
    found.end = end_of(record.state(), host);
    if (record.state().starts_with(kElsewhere))
      found.went_on = record.state().substr(kElsewhere.size());
  }
  co_return found;
}

Task<Result<Whereabouts>> look_there_and_here(State& state, std::string user, std::string job,
                                              std::string& host) {
  Result<Whereabouts> there = co_await look_for_job(state, user, job, host);
  if (host == state.host()) co_return there;
  if (there.ok() && (there->runs || there->end || !there->went_on.empty())) co_return there;
  Result<Whereabouts> here = co_await look_for_job(state, user, job, state.host());
  if (!here.ok() || !(here->runs || here->end)) co_return there;
  host = state.host();
  co_return here;
}

Task<Result<FollowReply>> follow_job(State& state, std::string user,
                                     protocol::wire::FollowRequest request,
                                     std::function<void(const std::string& host)> tell,
                                     std::function<bool()> cancelled) {
  asio::steady_timer pause(co_await asio::this_coro::executor);
  std::string host = request.host().empty() ? state.host() : request.host();
  for (unsigned hops = 0;;) {
    Result<Whereabouts> found = co_await look_there_and_here(state, user, request.job(), host);
    tell(host);
    if (!found.ok() && found.error().kind == ErrorKind::kNotFound)
      co_return std::move(found).error();  // no peer any more
    if (found.ok() && found->end) co_return *found->end;
    const bool went_on = found.ok() && !found->went_on.empty() && found->went_on != host;
    if (went_on) host = found->went_on;
    if (cancelled()) co_return make_error(ErrorKind::kTryAgain, "nobody waits for it");
    if (went_on && ++hops < kMostHops) continue;  // hosts may name each other
    hops = 0;
    pause.expires_after(state.configuration().settings.migration.retry);
    (void)co_await pause.async_wait(kAsTuple);
  }
}

}  // namespace ck::daemon
