// What all parts of the daemon share: configuration, credentials and counters. It outlives every
// coroutine. The daemon's thread only.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "driver/cluster/member.h"
#include "driver/cluster/peers.h"
#include "driver/cluster/settings.h"
#include "driver/cluster/tls.h"
#include "driver/daemon/connections.h"
#include "driver/daemon/host_load.h"
#include "driver/daemon/metrics.h"
#include "driver/daemon/task.h"
#include "driver/transfer/encoding.h"

namespace ck::daemon {

struct Options {
  std::string folder;        // of the configuration
  std::string jobs_dir;      // --dir
  std::string socket;        // for ckpt
  std::string peers_from;    // instead of that of the settings
  std::string state_folder;  // of the journal of hand-overs
};

// What a reload replaces as a whole.
struct Configuration {
  cluster::Settings settings;
  std::optional<cluster::Member> member;  // of a cluster
  std::shared_ptr<cluster::Context> tls;  // with a member
  std::vector<cluster::Peer> peers;       // without this host

  bool is_authority() const {
    return settings.cluster && settings.cluster->authority == settings.cluster->host;
  }
};

class Balancer;
class Handovers;

class State {
 public:
  explicit State(Options options) : options_(std::move(options)) {}

  // From the folder, and from the batch system if that is wanted. On an error everything stays as
  // it was.
  Task<Status> load();

  const Options& options() const { return options_; }
  const Configuration& configuration() const { return *configuration_; }
  const cluster::ClusterSettings& cluster() const { return *configuration_->settings.cluster; }
  const std::string& host() const { return host_; }  // in the cluster; without one, the hostname
  Metrics& metrics() { return metrics_; }
  HostLoad& load_of_host() { return load_; }
  // What this host tells of itself.
  Result<protocol::wire::HostReport> report();

  // To peers, by what went there without a limit.
  std::map<std::string, driver::transfer::LinkSpeed> links;

  std::shared_ptr<Connections> connections = std::make_shared<Connections>();

  bool drained = false;  // no jobs are taken, and those that are here leave

  // Set by the daemon once it can take and give jobs.
  Handovers* handovers = nullptr;
  Balancer* balancer = nullptr;

  // As SIGHUP: load(), and all that follows from it. Set by the daemon.
  std::function<Task<Status>()> reload;

  // kNotFound where this host belongs to no cluster.
  Status check_member() const;
  // kRefused while it is drained.
  Status check_takes_jobs() const;
  // kPermission when the host's certificate is not valid now.
  Status health() const;

 private:
  Task<Result<std::vector<cluster::Peer>>> batch_peers(cluster::ClusterSettings cluster);
  void show_metrics();

  Options options_;
  std::unique_ptr<Configuration> configuration_ = std::make_unique<Configuration>();
  std::string host_;
  Metrics metrics_;
  HostLoad load_;
};

}  // namespace ck::daemon
