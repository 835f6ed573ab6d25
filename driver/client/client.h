// Asking the ckd of this host. Blocking, with a time-out; any thread.
#pragma once

#include <chrono>
#include <functional>

#include "driver/protocol/control.pb.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::client {

using OnProgress = std::function<void(const protocol::wire::MigrateProgress&)>;

// One request and its last reply, each within `patience`; ckd's refusal comes back as the Error
// that it is. Given up (kTryAgain) as soon as `cancel`, a descriptor, can be read. kNotFound: no
// ckd listens; kPermission: who listens is neither this user nor root.
Result<protocol::wire::ControlReply> ask_daemon(protocol::wire::ControlRequest request,
                                                std::chrono::milliseconds patience,
                                                const OnProgress& on_progress = {},
                                                int cancel = -1);

// A connection to it; failures as above.
Result<UniqueFd> connect_to_daemon();

}  // namespace ck::client
