// Threads of a job with virtual ids (abi/ids.h) that are just in the agent's translation: real ids
// must not come into an image. Engine thread only.
#pragma once

#include <optional>

#include "runtime/abi/control_area.h"
#include "runtime/capture/trace.h"

namespace ck::capture {

// Lets a stopped thread run until it is out of the agent's signal handlers, and of a stub whose
// call is over; there it is stopped again. None of these waits for anything. True: it has moved.
Result<bool> leave_id_handler(TracedThread& thread, const abi::AgentPage& agent, Deadline deadline);

// A thread whose call a stub is about to make, or is making.
struct StubCall {
  abi::CallRecord record;
  bool begun = false;
};
std::optional<StubCall> find_stub_call(RealPid pid, const user_regs_struct& registers,
                                       const abi::AgentPage& agent);

// The registers as if the program's own system call had done what the stub's has. Gives back what
// the stub has taken, so the call has to be made again from the beginning.
void leave_stub(RealPid pid, const abi::CallRecord& record, user_regs_struct& registers,
                std::uint64_t& signal_mask);

}  // namespace ck::capture
