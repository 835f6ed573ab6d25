#include "driver/daemon/refresh.h"

#include <algorithm>

#include "driver/cluster/authority.h"
#include "driver/cluster/secrets.h"
#include "driver/daemon/event_log.h"
#include "driver/daemon/news.h"
#include "driver/daemon/peer_link.h"
#include "driver/daemon/peers_ask.h"
#include "runtime/job/small_file.h"

namespace ck::daemon {
namespace {

using protocol::wire::PeerMessage;

constexpr std::chrono::seconds kWithoutCluster{3600};

Result<cluster::Peer> authority_of(const State& state) {
  const std::string& name = state.cluster().authority;
  for (const cluster::Peer& peer : state.configuration().peers) {
    if (peer.name == name) return peer;
  }
  return make_error(ErrorKind::kNotFound, "host " + name + ", which has the CA, is no peer",
                    "add it to peers.toml");
}

// Asks the host with the CA; there is no other way to a certificate.
Task<Result<std::string>> ask_for_certificate(State& state, std::string request_pem) {
  CK_CO_TRY(cluster::Peer authority, authority_of(state));
  PeerMessage question;
  question.mutable_renew_request()->set_request_pem(request_pem);
  CK_CO_TRY(PeerMessage answer, co_await ask_peer(state, authority, std::move(question),
                                                  PeerMessage::KindCase::kAdmission));
  co_return answer.admission().certificate_pem();
}

}  // namespace

Task<void> Refresher::run() {
  for (;;) {
    std::chrono::milliseconds pause = kWithoutCluster;
    if (state_.configuration().member) {
      Status done = co_await refresh();
      std::string failure = done.ok() ? "" : done.error().text();
      if (failure != last_failure_ && !done.ok()) {
        log_warning("refresh failed", {{"reason", failure}});
      }
      last_failure_ = failure;
      pause = state_.cluster().refresh;
    }
    timer_.expires_after(pause);
    co_await timer_.async_wait(kAsTuple);
  }
}

Task<Status> Refresher::refresh() {
  if (cluster::wants_renewal(state_.configuration().member->certificate)) {
    CK_CO_CHECK(co_await renew());
  }
  if (state_.configuration().is_authority()) co_return Status();
  CK_CO_TRY(cluster::Peer authority, authority_of(state_));
  PeerMessage question;
  question.mutable_news_query();
  CK_CO_TRY(PeerMessage answer, co_await ask_peer(state_, authority, std::move(question),
                                                  PeerMessage::KindCase::kNews));
  CK_CO_TRY(bool changed, take_news(state_.options().folder, state_.host(),
                                    state_.configuration().member->authority, answer.news()));
  if (changed) CK_CO_CHECK(co_await state_.reload());
  co_return Status();
}

Task<Status> Refresher::renew() {
  const std::string folder = state_.options().folder;
  CK_CO_TRY(std::string request, cluster::make_request(state_.configuration().member->key));
  Result<std::string> pem = std::string();
  if (state_.configuration().is_authority()) {
    CK_CO_TRY(cluster::Authority authority, cluster::Authority::open(folder));
    pem = authority.renew(state_.host(), request);
  } else {
    pem = co_await ask_for_certificate(state_, request);
  }
  if (!pem.ok()) co_return std::move(pem).error();
  CK_CO_TRY(cluster::Certificate certificate, cluster::Certificate::from_pem(*pem));
  const cluster::Member& member = *state_.configuration().member;
  CK_CO_TRY(cluster::MemberName name,
            cluster::check_member(certificate, member.authority, member.key.get()));
  if (name != member.name) {
    co_return make_error(ErrorKind::kPermission, "the new certificate is of host " + name.host);
  }
  CK_CO_CHECK(job::replace_file(folder + "/" + cluster::kMemberFile, *pem));
  CK_CO_CHECK(co_await state_.reload());
  log_info("own certificate renewed");
  co_return Status();
}

Task<void> Refresher::tell_peers() {
  if (!state_.configuration().member || !state_.configuration().is_authority()) co_return;
  Result<protocol::wire::News> news = make_news(state_);
  if (!news.ok()) co_return;
  auto visit = [this, &news](cluster::Peer peer) -> Task<void> {
    PeerMessage message;
    *message.mutable_news() = *news;
    auto answer =
        co_await ask_peer(state_, peer, std::move(message), PeerMessage::KindCase::kTaken);
    // One that is away asks for the news when it is back.
    if (!answer.ok()) {
      log_event(spdlog::level::debug, "news not delivered",
                {{"host", peer.name}, {"reason", answer.error().message}});
    }
  };
  co_await for_each_peer(state_.configuration().peers, visit);
}

}  // namespace ck::daemon
