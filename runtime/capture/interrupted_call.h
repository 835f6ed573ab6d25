// A system call that the freeze has interrupted: whether and how it is started again, so that the
// program never sees EINTR from a checkpoint. Pure functions over register values.
#pragma once

#include <sys/user.h>

#include <cstdint>
#include <optional>

#include "runtime/abi/timed_call.h"

namespace ck::capture {

// Which pending signals of the program make the restarted call fail with EINTR after all: the
// kernel's rules for the value that the call was about to return (kernel: arch/x86/kernel/signal.c,
// handle_signal).
enum class RestartClass {
  kNone,               // no call was interrupted: nothing to do
  kAlways,             // restarts whatever happens (-ERESTARTNOINTR)
  kUnlessHandler,      // any handler that runs ends it (-ERESTARTNOHAND, -ERESTART_RESTARTBLOCK,
                       // -EINTR)
  kUnlessPlainHandler  // a handler without SA_RESTART ends it (-ERESTARTSYS)
};

struct InterruptedCall {
  RestartClass restart = RestartClass::kNone;
  std::int64_t number = -1;  // of the call to start again
};

// `registers` as they are in the ptrace stop. `record`: what the thread's wrapper noted, where it
// is valid for this stack; the kernel's restart_syscall(2) hides which call it continues, the
// record tells, or the instruction before (`code_before`: the 7 bytes before rip).
InterruptedCall examine(const user_regs_struct& registers, const abi::TimedCall* record,
                        const std::uint8_t code_before[7]);

}  // namespace ck::capture
