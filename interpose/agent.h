// The agent's state in a process. Set by the constructor, read-only afterwards; a copy goes along
// with fork and into images. No libc may be needed to read it.
#pragma once

#include "runtime/abi/control_area.h"
#include "runtime/abi/timed_call.h"

namespace ck::agent {

class NextLibraries;

// Null where the process is not under control (no CKRUN_AREA, or the area is not usable).
extern abi::AreaHeader* area;

// The innermost blocking call of this thread that the wrappers know of.
extern __thread abi::TimedCall* timed_call __attribute__((tls_model("initial-exec")));

// Finds the functions behind the wrappers.
void look_up_timed_calls(const NextLibraries& libraries);
void look_up_exec(const NextLibraries& libraries);
void look_up_paths(const NextLibraries& libraries);
void look_up_messages(const NextLibraries& libraries);
void look_up_shells(const NextLibraries& libraries);

// What recvmmsg(2) has received; of a negative count nothing.
void take_received(struct mmsghdr* messages, int count);

// Installs the handler of the request signal, where the program has left it at its default.
void arm_request_signal();

}  // namespace ck::agent
