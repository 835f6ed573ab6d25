#include "driver/daemon/peers_ask.h"

#include "driver/daemon/at_once.h"
#include "driver/daemon/job_list.h"
#include "driver/daemon/peer_link.h"
#include "driver/protocol/frame.h"

namespace ck::daemon {
namespace {

using protocol::wire::HostRow;
using protocol::wire::PeerMessage;
using Clock = std::chrono::steady_clock;

constexpr std::size_t kAtOnce = 32;

const char* state_of(const Error& error) {
  switch (error.kind) {
    case ErrorKind::kTryAgain:
      return "silent";
    case ErrorKind::kPermission:
    case ErrorKind::kRefused:
      return "refused";
    default:
      return "unreachable";
  }
}

const char* state_of(const protocol::wire::HostReport& report) {
  if (!report.draining()) return "up";
  return report.jobs() > 0 ? "draining" : "drained";
}

Task<Result<PeerMessage>> ask_timed(State& state, cluster::Peer peer, std::int64_t& latency_ns) {
  PeerMessage question;
  question.mutable_host_query();
  CK_CO_TRY(PeerLink link, co_await PeerLink::connect(state, peer));
  Clock::time_point before = Clock::now();
  CK_CO_TRY(PeerMessage answer, co_await link.ask(std::move(question), PeerMessage::kHostReport));
  latency_ns = std::chrono::nanoseconds(Clock::now() - before).count();
  co_return answer;
}

Task<void> fill_row(State& state, cluster::Peer peer, HostRow& row) {
  std::int64_t latency_ns = 0;
  Result<PeerMessage> answer = co_await ask_timed(state, peer, latency_ns);
  state.metrics().count_question(answer.ok() ? "answered" : "failed");
  row.set_name(peer.name);
  row.set_address(peer.address);
  row.set_state(answer.ok() ? state_of(answer->host_report()) : state_of(answer.error()));
  if (answer.ok()) {
    *row.mutable_report() = answer->host_report();
    row.set_latency_ns(latency_ns);
  } else {
    row.set_reason(protocol::error_of(protocol::refusal_of(answer.error())).text());
  }
}

}  // namespace

Task<void> for_each_peer(std::vector<cluster::Peer> peers,
                         std::function<Task<void>(cluster::Peer)> visit) {
  return for_each_at_once<cluster::Peer>(std::move(peers), kAtOnce, std::move(visit));
}

Task<Result<protocol::wire::HostsReply>> ask_hosts(State& state) {
  protocol::wire::HostsReply reply;
  HostRow& own = *reply.add_rows();
  own.set_name(state.host());
  if (state.configuration().member) own.set_address(state.cluster().address);
  CK_CO_TRY(*own.mutable_report(), state.report());
  own.set_state(state_of(own.report()));
  std::map<std::string, HostRow*> rows;
  std::vector<cluster::Peer> peers = state.configuration().peers;  // a reload may come in between
  for (const cluster::Peer& peer : peers) rows[peer.name] = reply.add_rows();
  auto visit = [&state, &rows](cluster::Peer peer) {
    return fill_row(state, peer, *rows[peer.name]);
  };
  co_await for_each_peer(std::move(peers), visit);
  co_return reply;
}

Task<Result<protocol::wire::AllJobsReply>> ask_jobs(State& state, std::string user) {
  protocol::wire::AllJobsReply reply;
  auto fill = [](protocol::wire::HostJobs& host, const Error& error) {
    *host.mutable_failure() = protocol::refusal_of(error);
  };
  protocol::wire::HostJobs& own = *reply.add_hosts();
  own.set_name(state.host());
  std::map<std::string, protocol::wire::HostJobs*> rows;
  std::vector<cluster::Peer> peers = state.configuration().peers;  // a reload may come in between
  for (const cluster::Peer& peer : peers) {
    rows[peer.name] = reply.add_hosts();
    rows[peer.name]->set_name(peer.name);
  }
  Result<protocol::wire::JobList> here = co_await list_jobs(user, state.options().jobs_dir);
  if (here.ok()) *own.mutable_jobs() = *std::move(here);
  if (!here.ok()) fill(own, here.error());
  auto visit = [&](cluster::Peer peer) -> Task<void> {
    PeerMessage question;
    question.mutable_jobs_query()->set_user(user);
    auto answer =
        co_await ask_peer(state, peer, std::move(question), PeerMessage::KindCase::kJobList);
    state.metrics().count_question(answer.ok() ? "answered" : "failed");
    if (answer.ok()) *rows[peer.name]->mutable_jobs() = answer->job_list();
    if (!answer.ok()) fill(*rows[peer.name], answer.error());
  };
  co_await for_each_peer(std::move(peers), visit);
  co_return reply;
}

}  // namespace ck::daemon
