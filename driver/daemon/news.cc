#include "driver/daemon/news.h"

#include "driver/cluster/secrets.h"

namespace ck::daemon {

Result<protocol::wire::News> make_news(const State& state) {
  const Configuration& configuration = state.configuration();
  if (!configuration.member) return make_error(ErrorKind::kBug, "no cluster");
  protocol::wire::News news;
  news.set_authority_pem(CK_TRY(configuration.member->authority.to_pem()));
  news.set_revoked_pem(CK_TRY(configuration.member->revoked.to_pem()));
  auto add = [&news](const std::string& name, const std::string& address) {
    protocol::wire::Peer& peer = *news.add_peers();
    peer.set_name(name);
    peer.set_address(address);
  };
  add(state.cluster().host, state.cluster().address);
  for (const cluster::Peer& peer : configuration.peers) add(peer.name, peer.address);
  return news;
}

Result<bool> take_news(const std::string& folder, const std::string& own_name,
                       const cluster::Certificate& authority, const protocol::wire::News& news) {
  UniqueFd lock = CK_TRY(cluster::lock_folder(folder));
  bool changed = false;
  if (!news.revoked_pem().empty()) {
    changed = CK_TRY(cluster::save_revocations(folder, news.revoked_pem(), authority));
  }
  std::vector<cluster::Peer> before = CK_TRY(cluster::read_peers(folder)), peers;
  for (const protocol::wire::Peer& peer : news.peers()) {
    if (peer.name() != own_name) peers.push_back({peer.name(), peer.address()});
  }
  CK_TRY(cluster::remember_peers(folder, peers));
  return changed || CK_TRY(cluster::read_peers(folder)) != before;
}

}  // namespace ck::daemon
