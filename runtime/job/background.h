// A job with a terminal of its own whose user's shell has put it in the background. The kernel does
// not know: on its own terminal the job is in the foreground, and would wait for keys that the
// shell gets. So it is looked at. Any thread.
#pragma once

#include "runtime/base/ids.h"

namespace ck::job {

// Whether a process of the terminal's foreground group, `head` or one below it, is in a read from
// its controlling terminal, which stops a program in the background (SIGTTIN). False where the
// right to trace it is wanting.
bool reads_terminal(RealPid head);

}  // namespace ck::job
