#include "driver/daemon/state.h"

#include <algorithm>

#include "driver/cluster/batch_hosts.h"
#include "driver/daemon/child_output.h"
#include "driver/protocol/check.h"
#include "runtime/job/host.h"
#include "runtime/job/small_file.h"

namespace ck::daemon {
namespace {

constexpr milliseconds kBatchPatience{20000};

Result<Configuration> read_configuration(const std::string& folder) {
  Configuration made;
  made.settings = CK_TRY(cluster::read_settings(folder));
  if (!made.settings.cluster) return made;
  made.member = CK_TRY(cluster::load_member(folder));
  const cluster::ClusterSettings& cluster = *made.settings.cluster;
  if (made.member->name != cluster::MemberName{cluster.id, cluster.host}) {
    return make_error(ErrorKind::kPermission, "the certificate in " + folder + " is of host " +
                                                  made.member->name.host + ", not of " +
                                                  cluster.host + " in this cluster");
  }
  made.tls = CK_TRY(cluster::member_context(*made.member));
  made.peers = CK_TRY(cluster::read_peers(folder));
  std::erase_if(made.peers, [&](const cluster::Peer& peer) { return peer.name == cluster.host; });
  return made;
}

void add_unless_known(std::vector<cluster::Peer>& peers, std::vector<cluster::Peer> more) {
  for (cluster::Peer& peer : more) {
    auto same = [&](const cluster::Peer& known) { return known.name == peer.name; };
    if (std::none_of(peers.begin(), peers.end(), same)) peers.push_back(std::move(peer));
  }
}

}  // namespace

Task<Result<std::vector<cluster::Peer>>> State::batch_peers(cluster::ClusterSettings cluster) {
  const std::string& from = options_.peers_from.empty() ? cluster.peers_from : options_.peers_from;
  std::vector<std::string> names;
  if (from == "gridengine") {
    std::vector<std::string> command{"qhost"};
    CK_CO_TRY(std::string text, co_await program_output(command, kBatchPatience));
    CK_CO_TRY(names, cluster::parse_qhost(text));
  } else if (from == "slurm") {
    std::vector<std::string> command{"sinfo", "-N", "-h", "-o", "%N"};
    CK_CO_TRY(std::string text, co_await program_output(command, kBatchPatience));
    CK_CO_TRY(names, cluster::parse_sinfo(text));
  } else if (!from.empty()) {
    CK_CO_TRY(std::string text, job::read_small_file(from));
    CK_CO_TRY(names, cluster::parse_host_file(text));
  }
  // Batch systems tell names only: each listens where this host does.
  CK_CO_TRY(protocol::Address own, protocol::split_address(cluster.address));
  std::vector<cluster::Peer> peers;
  for (const std::string& name : names) {
    if (name != cluster.host) peers.push_back({name, name + ":" + own.port});
  }
  co_return peers;
}

Task<Status> State::load() {
  // What takes long comes first: of two loads at once, the one that ends later has read the newer
  // files (revocations, above all).
  std::vector<cluster::Peer> more;
  CK_CO_TRY(cluster::Settings settings, cluster::read_settings(options_.folder));
  if (settings.cluster) {
    CK_CO_TRY(more, co_await batch_peers(*settings.cluster));
  }
  CK_CO_TRY(Configuration made, read_configuration(options_.folder));
  if (made.settings.cluster) add_unless_known(made.peers, std::move(more));
  CK_CO_TRY(job::Host system, job::this_host());
  host_ = made.settings.cluster ? made.settings.cluster->host : system.name;
  configuration_ = std::make_unique<Configuration>(std::move(made));
  show_metrics();
  co_return Status();
}

Result<protocol::wire::HostReport> State::report() {
  protocol::wire::HostReport report = CK_TRY(report_host(host_));
  load_.set_in(report, configuration_->settings.balance.load_file);
  report.set_draining(drained);
  metrics_.show_host(report);
  return report;
}

Status State::check_member() const {
  if (configuration_->member) return {};
  return make_error(ErrorKind::kNotFound, "this host belongs to no cluster",
                    "ckd init makes one, ckd join enters one");
}

Status State::check_takes_jobs() const {
  if (!drained) return {};
  return make_error(ErrorKind::kRefused, "host " + host_ + " is being drained");
}

Status State::health() const {
  if (!configuration_->member) return {};
  return cluster::check_dates(configuration_->member->certificate, "this host's certificate");
}

void State::show_metrics() {
  metrics_.show_peers(configuration_->peers.size());
  if (!configuration_->member) return;
  auto end = configuration_->member->certificate.validity().to;
  metrics_.show_certificate_end(static_cast<double>(end.time_since_epoch().count()));
}

}  // namespace ck::daemon
