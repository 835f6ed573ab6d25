// The job's end of a terminal whose user sits at another host: a process beside the job, as a
// client of its keeper. It outlives the connections, and keeps what was shown and is not taken yet;
// the program is held up by that as by a terminal that is slow. If nobody comes for long enough it
// leaves the job, as ckpt detach does. Main thread only.
#pragma once

#include <functional>
#include <string>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/job/terminal_client.h"

namespace ck::driver::terminal {

struct ServerPlan {
  UniqueFd keeper;     // a connection
  RealPid keeper_pid;  // which it is known by
  std::string jobs_folder;
  std::function<void()> on_ready;  // it can be called; may be empty
};

// Until the job has ended and its user knows, or nobody is there any more. kTryAgain: the terminal
// has a server.
Result<job::ClientOutcome> serve_terminal(ServerPlan plan);

}  // namespace ck::driver::terminal
