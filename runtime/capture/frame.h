// The signal frame through which a parked thread leaves: built from outside out of its registers.
#pragma once

#include <sys/user.h>

#include <cstddef>
#include <cstdint>
#include <span>

#include "runtime/abi/control_area.h"
#include "runtime/base/result.h"

namespace ck::capture {

// Fills slot.frame and slot.xstate so that rt_sigreturn(2) brings back exactly `registers`,
// `xstate` (as PTRACE_GETREGSET NT_X86_XSTATE gives it) and `signal_mask`. `slot_address`: the slot
// in the process. The alternate stack is filled in later, by what the thread itself says.
Status build_frame(abi::ThreadSlot& slot, std::uint64_t slot_address,
                   const user_regs_struct& registers, std::span<const std::byte> xstate,
                   std::uint64_t signal_mask);

// Makes the frame start system call `number` again instead of returning from it.
void restart_call(abi::SignalFrame& frame, std::int64_t number);

}  // namespace ck::capture
