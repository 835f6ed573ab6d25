#include "driver/daemon/peer_requests.h"

#include "driver/cluster/authority.h"
#include "driver/cluster/invitations.h"
#include "driver/daemon/event_log.h"
#include "driver/daemon/handovers.h"
#include "driver/daemon/job_list.h"
#include "driver/daemon/news.h"
#include "driver/daemon/remote_start.h"

namespace ck::daemon {
namespace {

using cluster::Identity;
using protocol::wire::PeerMessage;

Result<PeerMessage> admission(const State& state, const std::string& certificate_pem) {
  PeerMessage answer;
  answer.mutable_admission()->set_certificate_pem(certificate_pem);
  *answer.mutable_admission()->mutable_news() = CK_TRY(make_news(state));
  return answer;
}

// The invitation is used up first, so that it cannot be used twice at once, and put back if the
// host cannot be taken.
Result<std::string> sign_guest(const State& state, const Identity& guest,
                               const protocol::wire::JoinRequest& request) {
  const std::string& folder = state.options().folder;
  cluster::Authority authority = CK_TRY(cluster::Authority::open(folder));
  cluster::Time end = CK_TRY(cluster::use_invitation(folder, guest.name));
  Result<std::string> pem =
      authority.admit(request.host(), request.address(), request.request_pem());
  if (!pem.ok()) CK_TRY(cluster::save_invitation(folder, guest.name, end));
  return pem;
}

Task<Result<PeerMessage>> admit(State& state, Identity guest, protocol::wire::JoinRequest request) {
  CK_CO_TRY(std::string pem, sign_guest(state, guest, request));
  log_info("host joined", {{"host", request.host()}, {"address", request.address()}});
  // Now it is among the peers, and the others hear of it. A failure is in the log, and is not its.
  (void)co_await state.reload();
  co_return admission(state, pem);
}

Result<PeerMessage> renew(const State& state, const Identity& member,
                          const protocol::wire::RenewRequest& request) {
  cluster::Authority authority = CK_TRY(cluster::Authority::open(state.options().folder));
  std::string pem = CK_TRY(authority.renew(member.name, request.request_pem()));
  log_info("certificate renewed", {{"host", member.name}});
  return admission(state, pem);
}

Result<PeerMessage> news(const State& state) {
  PeerMessage answer;
  *answer.mutable_news() = CK_TRY(make_news(state));
  return answer;
}

Task<Result<PeerMessage>> take(State& state, Identity sender, protocol::wire::News news) {
  if (sender.name != state.cluster().authority) {
    co_return make_error(ErrorKind::kPermission,
                         "host " + sender.name + " does not have the cluster's CA");
  }
  CK_CO_TRY(bool changed, take_news(state.options().folder, state.host(),
                                    state.configuration().member->authority, news));
  if (changed) CK_CO_CHECK(co_await state.reload());
  PeerMessage answer;
  answer.mutable_taken();
  co_return answer;
}

Result<PeerMessage> report(State& state) {
  PeerMessage answer;
  *answer.mutable_host_report() = CK_TRY(state.report());
  return answer;
}

Task<Result<PeerMessage>> jobs(State& state, std::string user) {
  PeerMessage answer;
  CK_CO_TRY(*answer.mutable_job_list(), co_await list_jobs(user, state.options().jobs_dir));
  co_return answer;
}

Task<Result<PeerMessage>> run(State& state, Identity peer, protocol::wire::Run wish) {
  PeerMessage answer;
  CK_CO_TRY(*answer.mutable_started(),
            co_await start_here(state, wish.user(), wish.order(), peer.name));
  co_return answer;
}

Result<PeerMessage> hand_over(State& state, const Identity& peer, std::uint64_t connection,
                              const driver::handover::wire::Message& message) {
  if (state.handovers == nullptr)
    return make_error(ErrorKind::kTryAgain, "this ckd is just starting");
  PeerMessage answer;
  auto& messages = *answer.mutable_handover_answer();
  for (auto& reply : CK_TRY(state.handovers->receive(peer.name, connection, message)))
    *messages.add_messages() = std::move(reply);
  return answer;
}

Error not_for_here() {
  return make_error(ErrorKind::kRefused, "that message is not for here");
}

}  // namespace

Task<Result<PeerMessage>> answer_peer(State& state, Identity peer, std::uint64_t connection,
                                      PeerMessage question) {
  bool joins = question.kind_case() == PeerMessage::kJoinRequest;
  if (joins != (peer.kind == Identity::Kind::kGuest)) co_return not_for_here();
  switch (question.kind_case()) {
    case PeerMessage::kJoinRequest:
      co_return co_await admit(state, peer, question.join_request());
    case PeerMessage::kRenewRequest:
      co_return renew(state, peer, question.renew_request());
    case PeerMessage::kNewsQuery:
      co_return news(state);
    case PeerMessage::kNews:
      co_return co_await take(state, peer, question.news());
    case PeerMessage::kHostQuery:
      co_return report(state);
    case PeerMessage::kJobsQuery:
      co_return co_await jobs(state, question.jobs_query().user());
    case PeerMessage::kRun:
      co_return co_await run(state, peer, question.run());
    case PeerMessage::kHandover:
      co_return hand_over(state, peer, connection, question.handover());
    default:
      co_return not_for_here();
  }
}

}  // namespace ck::daemon
