// The same question to all peers at once. The daemon's thread only.
#pragma once

#include <functional>

#include "driver/daemon/state.h"
#include "driver/protocol/control.pb.h"

namespace ck::daemon {

// Calls `visit` for each of the peers, some at once, and returns when all are done.
Task<void> for_each_peer(std::vector<cluster::Peer> peers,
                         std::function<Task<void>(cluster::Peer)> visit);

// For ckpt hosts and ckpt ls --all-hosts: this host first, then the peers in the order of their
// configuration. A host that does not answer is a row that says why.
Task<Result<protocol::wire::HostsReply>> ask_hosts(State& state);
Task<Result<protocol::wire::AllJobsReply>> ask_jobs(State& state, std::string user);

}  // namespace ck::daemon
