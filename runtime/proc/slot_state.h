// Sets a thread slot's state and wakes whoever waits for it (abi/control_area.h says who may).
// Engine.
#pragma once

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

#include "runtime/abi/control_area.h"

namespace ck::proc {

inline void set_slot_state(abi::ThreadSlot& slot, std::uint32_t state) {
  __atomic_store_n(&slot.state, state, __ATOMIC_RELEASE);
  ::syscall(SYS_futex, &slot.state, FUTEX_WAKE, INT32_MAX, nullptr, nullptr, 0);
}

}  // namespace ck::proc
