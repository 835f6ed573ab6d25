// Where a job that left this host has got to, and how it ends. The daemon's thread only.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "driver/daemon/state.h"
#include "driver/protocol/control.pb.h"

namespace ck::daemon {

// What a host says of a job.
struct Whereabouts {
  bool known = false;
  bool runs = false;
  std::optional<protocol::wire::FollowReply> end;
  std::string went_on;  // to that host; empty: it did not
};
Task<Result<Whereabouts>> look_for_job(State& state, std::string user, std::string job,
                                       std::string host);

// The same, but where that host has nothing to say of it, and it runs here, a hand-over has given
// it back: `host` is this host then.
Task<Result<Whereabouts>> look_there_and_here(State& state, std::string user, std::string job,
                                              std::string& host);

// Asks host after host now and then, until the job has ended or `cancelled` says so. A host that
// does not answer is asked again. `tell` is told after each question where it is looked for.
Task<Result<protocol::wire::FollowReply>> follow_job(
    State& state, std::string user, protocol::wire::FollowRequest request,
    std::function<void(const std::string& host)> tell, std::function<bool()> cancelled);

}  // namespace ck::daemon
