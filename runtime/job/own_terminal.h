// A job with a terminal of its own is three processes besides it: the client, which the user
// started and which types and shows; the keeper (keeper.h), its child; and the supervisor, the
// keeper's. Main thread only, before any other thread was started.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/job/terminal_client.h"
#include "runtime/terminal/pty.h"

namespace ck::job {

struct OwnTerminalPlan {
  std::string tool;
  std::optional<unsigned> number;  // that /dev/pts/N should have
  bool redraw = false;             // the job has drawn its screen before
  Redraw how = Redraw::kAuto;
  bool end_of_input = false;
  int for_supervisor = -1;  // a descriptor that the two others close
  // Of the job's terminal, if the user's are not known.
  std::optional<terminal::Modes> modes;
  std::optional<terminal::Window> window;
  Elsewhere elsewhere;  // may be empty
  // Instead of the user's end: what the job was handed over for. May be empty.
  std::function<Result<ClientOutcome>(UniqueFd connection, RealPid keeper)> serve;
};

// Returns twice. In the supervisor: what `supervise` returns, which is given the keeper's pid. In
// the calling process, once the job has ended or it was detached: the exit status.
Result<int> on_own_terminal(const OwnTerminalPlan& plan,
                            const std::function<Result<int>(RealPid keeper)>& supervise);

}  // namespace ck::job
