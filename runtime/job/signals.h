// The signals that a supervisor takes: those it passes on to the program, its request signal, and
// SIGCHLD. They are blocked in the whole process and read from a signalfd, for only that tells who
// sent them. Supervisor's main thread only.
#pragma once

#include <signal.h>
#include <sys/signalfd.h>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::job {

// All but those that cannot be blocked or that report a fault of this process itself.
sigset_t supervised_signals();

// Blocks them in the calling thread and in those that it will start.
Status block_supervised_signals();
Result<UniqueFd> open_signal_fd();

// Sent by the terminal (^C, ^Z, a new window size) to the whole foreground group: the program has
// had it already if it is in our group.
bool program_had_it_too(const signalfd_siginfo& info, RealPid program);

// Passes the signal on as it came, a queued value included.
void pass_on(const signalfd_siginfo& info, RealPid program);

}  // namespace ck::job
