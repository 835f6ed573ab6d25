// Threads and children of a process. Both lists are snapshots: unless the process is stopped they
// may be out of date when they arrive. Any thread may call.
#pragma once

#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace ck::proc {

Result<std::vector<RealPid>> read_threads(RealPid pid);  // by number
// Without the kernel's own; a look at each thread's name more.
Result<std::vector<RealPid>> read_program_threads(RealPid pid);
// A thread that the kernel runs for a process's io_uring (iou-wrk-N, iou-sqp-N). It never executes
// the program's code, and to stop it with ptrace would interrupt the request that it works on.
bool is_kernels_own(RealPid pid, RealPid tid);
Result<std::vector<RealPid>> read_children(RealPid pid);  // of all its threads, zombies included
Result<std::vector<RealPid>> read_children_of_thread(RealPid pid, RealPid tid);

// Of one thread, or of a process's first: false once it is a zombie, which kill(2) still reaches.
bool is_alive(RealPid task);
// It is killed, exits or has ended: it runs nothing of its program any more. What /proc tells of it
// goes away piece by piece, and may belong to root.
bool is_ending(RealPid task);
// Any of the process's threads: a first thread that has exited is a zombie while others live.
bool any_thread_alive(RealPid pid);
bool all_ending(RealPid pid);  // its threads

// The child whose pid in its innermost namespace is `innermost`; no pid: there is none (any more).
RealPid find_child(RealPid parent, pid_t innermost);

}  // namespace ck::proc
