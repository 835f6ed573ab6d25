// Whether a process that a job folder names still runs. A pid alone says little: it may be another
// process's by now, a zombie's, or that of one which the kernel is taking down. Any thread.
#pragma once

#include <chrono>
#include <cstdint>

#include "runtime/base/ids.h"

namespace ck::job {

enum class Life {
  kGone,    // a zombie, too
  kEnding,  // killed or exiting: runs none of its code any more, but still holds memory and locks
  kRuns,    // also if its first thread has exited and others have not
};
// Of the process `pid` that began at `start_time`.
Life process_life(RealPid pid, std::uint64_t start_time);

inline bool process_alive(RealPid pid, std::uint64_t start_time) {
  return process_life(pid, start_time) == Life::kRuns;
}

// If it is ending: waits until it has gone, or `patience` is over.
void await_end(RealPid pid, std::uint64_t start_time, std::chrono::milliseconds patience);

}  // namespace ck::job
