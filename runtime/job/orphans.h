// Children of the supervisor's main thread. As a child subreaper it inherits the job's orphans and
// must reap them; the job's root process and what the engine started are not for it to reap.
// Supervisor's main thread only.
#pragma once

#include <sys/types.h>

#include <functional>
#include <set>

namespace ck::job {

std::set<pid_t> children_of_this_thread();

// Reaps those that have ended, other than `spared`, and tells which. Helpers made by clone()
// without an exit signal are never touched.
void reap_orphans(const std::set<pid_t>& spared, const std::function<void(pid_t)>& reaped);

// The stop signal of a child that is stopped by job control, or 0; consumes nothing.
int stop_signal_of(pid_t child);

}  // namespace ck::job
