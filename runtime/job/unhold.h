// How a job goes on, or ends, that stands still since a checkpoint or a restart with --hold.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/base/result.h"
#include "runtime/job/control_client.h"

namespace ck::job {

struct UnholdOrder {
  bool end = false;                      // else it goes on
  std::optional<std::uint64_t> counter;  // of the incarnation that goes on: not below it
  std::string moved_to;                  // with end and a counter: the host where it goes on
};

// Asks the supervisor. When this returns, the job goes on, or has ended, with its supervisor too
// unless it moves.
Status unhold(ControlClient& client, const UnholdOrder& order);

}  // namespace ck::job
