// Jobs that are started on one host by a user who sits at another (ckrun --on). The daemon's thread
// only.
#pragma once

#include <string>

#include "driver/daemon/state.h"
#include "driver/protocol/control.pb.h"
#include "driver/protocol/peer.pb.h"

namespace ck::daemon {

// On this host, for a user of the host `from`; returns once the program runs, or ckrun has said
// why it does not. kRefused while this host is drained; kPermission and kNotFound by the user.
Task<Result<protocol::wire::Started>> start_here(State& state, std::string user,
                                                 protocol::wire::RunOrder order, std::string from);

// On the host that is named, which may be this one. kTryAgain where it does not answer: the job may
// run there all the same.
Task<Result<protocol::wire::Started>> start_at(State& state, std::string user,
                                               protocol::wire::RunRequest request);

}  // namespace ck::daemon
