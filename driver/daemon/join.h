// `ckd join`: this host becomes a member of a cluster. Blocking; in a process of its own.
#pragma once

#include "driver/cluster/settings.h"
#include "driver/cluster/token.h"

namespace ck::daemon {

// `cluster`: host, address and listen of this host; the rest is learned. Refused (kRefused) if the
// folder has a configuration, unless `force`: then key and certificate are replaced.
Status join_cluster(const std::string& folder, const cluster::Token& token,
                    cluster::ClusterSettings cluster, bool force);

}  // namespace ck::daemon
