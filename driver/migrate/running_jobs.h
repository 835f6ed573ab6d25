// What load balancing wants to know of the jobs of a user that run on this host. Blocking; in a
// process of that user.
#pragma once

#include <vector>

#include "driver/migrate/steps.pb.h"
#include "runtime/base/ids.h"
#include "runtime/base/result.h"

namespace ck::driver::migrate {

// A job's root process and all that descends from it. A snapshot.
std::vector<RealPid> tree_of(RealPid root);

// Threads of that tree that load the host just now, as the kernel's average counts them: those that
// run, want to run, or wait for a disk.
double tasks_now(RealPid root);

// All of them but those that are held. `jobs` of the result; takes 0.2 s.
Result<wire::Result> running_jobs();

}  // namespace ck::driver::migrate
