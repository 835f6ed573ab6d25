// The keeper of a job's own terminal: a small process that outlives the supervisor. It holds the
// master, leads the session of the slave (unless the job's namespace has a leader of its own), is
// the supervisor's parent and inherits what that leaves behind. Whoever types at the job, a client,
// gets the master from it and relays by itself; while there is none, the keeper reads what the
// program writes, so that the program does not hang on it, and drops it.
#pragma once

#include <sys/types.h>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::job::keeper {

struct Plan {
  UniqueFd listening;    // keeper::listen()
  UniqueFd client;       // a connection that is there already
  UniqueFd master;       // its slave controls the keeper's session
  pid_t supervisor = 0;  // child of the calling process
};

// Until the job has ended; never returns. All signals are blocked, and this process is a child
// subreaper.
[[noreturn]] void run(Plan plan);

}  // namespace ck::job::keeper
