// Threads and children of a process. Both lists are snapshots: unless the process is stopped they
// may be out of date when they arrive. Any thread may call.
#pragma once

#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace ck::proc {

Result<std::vector<RealPid>> read_threads(RealPid pid);   // by number
Result<std::vector<RealPid>> read_children(RealPid pid);  // of all its threads, zombies included
Result<std::vector<RealPid>> read_children_of_thread(RealPid pid, RealPid tid);

// Of one thread, or of a process's first: false once it is a zombie, which kill(2) still reaches.
bool is_alive(RealPid task);
// Any of the process's threads: a first thread that has exited is a zombie while others live.
bool any_thread_alive(RealPid pid);

// The child whose pid in its innermost namespace is `innermost`; no pid: there is none (any more).
RealPid find_child(RealPid parent, pid_t innermost);

}  // namespace ck::proc
