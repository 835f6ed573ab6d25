// The serve loop: what a parked thread does. Compiled into the agent and into the restorer, in a
// section of its own so that the engine can tell whether a thread is in it, and so that the
// restorer can be copied to another address. No libc, no data, no calls out.
//
// Entry: rdi = slot, rsi = area header, rsp = top of the slot's stack, all signals blocked.
#pragma once

#include <asm/unistd.h>
#include <linux/futex.h>
#include <time.h>

#include "runtime/abi/control_area.h"
#include "runtime/abi/gate.h"

#define CK_SERVE_SECTION __attribute__((section("ckserve"), used, noinline))
#define CK_SERVE_INLINE __attribute__((always_inline)) static inline

extern "C" const char __start_ckserve[] __attribute__((visibility("hidden")));
extern "C" const char __stop_ckserve[] __attribute__((visibility("hidden")));

namespace ck::abi {

// gcc must not turn loops into calls of memset and memcpy, which injected code does not have.
#pragma GCC push_options
#pragma GCC optimize("no-tree-loop-distribute-patterns")

CK_SERVE_INLINE void set_state(ThreadSlot* slot, uint32_t state) {
  __atomic_store_n(&slot->state, state, __ATOMIC_RELEASE);
  gate(__NR_futex, address_of(&slot->state), FUTEX_WAKE, 0x7fffffff);
}

CK_SERVE_INLINE bool owner_died(const AreaHeader* header) {
  const char* word = reinterpret_cast<const char*>(header) + header->owner_word_offset;
  return __atomic_load_n(reinterpret_cast<const uint32_t*>(word), __ATOMIC_ACQUIRE) &
         FUTEX_OWNER_DIED;
}

CK_SERVE_INLINE void run_calls(ThreadSlot* slot) {
  bool stopped = false;
  for (uint32_t i = 0; i < slot->call_count && i < kMaxCalls; ++i) {
    Call* call = &slot->calls[i];
    call->skipped = stopped;
    if (stopped) continue;
    for (uint32_t k = 0; k < 6; ++k)
      if (call->result_of[k] != 0)
        call->args[k] = static_cast<uint64_t>(slot->calls[call->result_of[k] - 1].result);
    call->result = gate(call->number, call->args[0], call->args[1], call->args[2], call->args[3],
                        call->args[4], call->args[5]);
    stopped = call->stop_on_error && call->result < 0 && call->result > -4096;
  }
}

[[noreturn]] void serve(ThreadSlot* slot, AreaHeader* header);

// The child starts with the stack that the engine put into clone_args.
CK_SERVE_INLINE int64_t run_clone(ThreadSlot* slot, AreaHeader* header) {
  int64_t result;
  register uint64_t child asm("r12") = slot->child_slot;
  register uint64_t area asm("r13") = address_of(header);
  register uint64_t entry asm("r14") = reinterpret_cast<uint64_t>(&serve);
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r12, %%rdi\n\t"
      "mov %%r13, %%rsi\n\t"
      "call *%%r14\n\t"
      "ud2\n"
      "1:"
      : "=a"(result)
      : "0"(static_cast<int64_t>(__NR_clone3)), "D"(slot->clone_args), "S"(slot->clone_size),
        "r"(child), "r"(area), "r"(entry)
      : "rcx", "r11", "memory");
  return result;
}

[[noreturn]] CK_SERVE_INLINE void leave_for(ThreadSlot* slot) {
  const uint64_t there = slot->jump_slot;
  asm volatile(
      "mov %0, %%rsp\n\t"
      "xor %%ebp, %%ebp\n\t"
      "push $0\n\t"
      "jmp *%1"
      :
      : "r"(there + __builtin_offsetof(ThreadSlot, stack) + kStackBytes), "r"(slot->jump_to),
        "D"(there), "S"(slot->jump_header)
      : "memory");
  __builtin_unreachable();
}

// A signal that would have made the restarted call fail with EINTR is already pending: then it
// fails.
CK_SERVE_INLINE void settle_restart(ThreadSlot* slot) {
  if (slot->eintr_signals == 0) return;
  uint64_t pending = 0;
  gate(__NR_rt_sigpending, address_of(&pending), sizeof pending);
  if ((pending & slot->eintr_signals) == 0) return;
  slot->frame.rip += 2;                         // past the syscall instruction
  slot->frame.rax = static_cast<uint64_t>(-4);  // EINTR
}

[[noreturn]] CK_SERVE_INLINE void release(ThreadSlot* slot) {
  settle_restart(slot);
  // The engine touches a free slot only while this thread is stopped outside of this code, so the
  // frame stays whole until the kernel has read it.
  set_state(slot, kFree);
  asm volatile(
      "mov %0, %%rsp\n\t"
      "mov %1, %%eax\n\t"
      "syscall\n\t"
      "ud2"
      :
      : "r"(&slot->frame), "i"(__NR_rt_sigreturn)
      : "memory");
  __builtin_unreachable();
}

// Waits for a command; true: the supervisor has died and this thread has taken itself back.
CK_SERVE_INLINE bool wait_for_command(ThreadSlot* slot, const AreaHeader* header) {
  timespec pause{0, 200 * 1000 * 1000};
  gate(__NR_futex, address_of(&slot->state), FUTEX_WAIT, kParked, address_of(&pause));
  if (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE) != kParked || !owner_died(header))
    return false;
  uint32_t parked = kParked;
  return __atomic_compare_exchange_n(&slot->state, &parked, kRelease, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE);
}

// Only an expected arrival parks: a release that was ordered before the thread arrived holds.
CK_SERVE_INLINE void arrive(ThreadSlot* slot) {
  uint32_t state = kArriving;
  if (!__atomic_compare_exchange_n(&slot->state, &state, kParked, false, __ATOMIC_ACQ_REL,
                                   __ATOMIC_ACQUIRE)) {
    state = kJump;
    __atomic_compare_exchange_n(&slot->state, &state, kParked, false, __ATOMIC_ACQ_REL,
                                __ATOMIC_ACQUIRE);
  }
  gate(__NR_futex, address_of(&slot->state), FUTEX_WAKE, 0x7fffffff);
}

// The engine may have given up waiting and ordered a release: that holds.
CK_SERVE_INLINE void answer(ThreadSlot* slot, uint32_t asked) {
  __atomic_compare_exchange_n(&slot->state, &asked, kParked, false, __ATOMIC_ACQ_REL,
                              __ATOMIC_ACQUIRE);
  gate(__NR_futex, address_of(&slot->state), FUTEX_WAKE, 0x7fffffff);
}

[[noreturn]] CK_SERVE_SECTION void serve(ThreadSlot* slot, AreaHeader* header) {
  uint64_t all = ~0ull;  // already so, unless the supervisor died while it diverted this thread
  gate(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, address_of(&all), 0, sizeof all);
  arrive(slot);
  for (;;) {
    switch (__atomic_load_n(&slot->state, __ATOMIC_ACQUIRE)) {
      case kParked:
        if (!wait_for_command(slot, header)) break;
        if (slot->orphan_exits) gate(__NR_exit_group, 255);
        slot->self_released = 1;
        release(slot);
      case kRunCalls:
        run_calls(slot);
        answer(slot, kRunCalls);
        break;
      case kClone:
        slot->clone_result = run_clone(slot, header);
        answer(slot, kClone);
        break;
      case kJump:
        leave_for(slot);
      case kRelease:
        release(slot);
      default:
        gate(__NR_exit_group, 254);
    }
  }
}

#pragma GCC pop_options

}  // namespace ck::abi
