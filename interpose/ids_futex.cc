// Priority-inheriting mutexes under virtual ids. The kernel would compare the owner that libc
// writes into the lock word with ids that only it knows. So these calls are carried out here, by
// the same protocol on the same word, with plain futexes: who has the lock and who waits is as
// ever, but nobody inherits a priority.
#include <errno.h>
#include <linux/futex.h>

#include "interpose/ids.h"

namespace ck::agent {

using abi::CallRecord;

namespace {

constexpr uint32_t kLockPi2 = 13;  // FUTEX_LOCK_PI2, with a clock of its own

uint32_t command_of(uint64_t operation) {
  return static_cast<uint32_t>(operation) & static_cast<uint32_t>(FUTEX_CMD_MASK);
}

uint32_t own_id() {
  return static_cast<uint32_t>(virtual_id(call(__NR_gettid)));
}

bool exchange(uint32_t* word, uint32_t& before, uint32_t after) {
  return __atomic_compare_exchange_n(word, &before, after, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE);
}

// All who wait are woken: they set FUTEX_WAITERS again if they have to.
int64_t unlock(uint32_t* word, uint32_t seen, uint64_t operation) {
  do {
    if ((seen & FUTEX_TID_MASK) != own_id()) return -EPERM;
  } while (!exchange(word, seen, 0));
  if (seen & FUTEX_WAITERS)
    call(__NR_futex, abi::address_of(word), FUTEX_WAKE | (operation & FUTEX_PRIVATE_FLAG),
         0x7fffffff);
  return 0;
}

// FUTEX_OWNER_DIED stays for libc to see.
bool take(uint32_t* word, uint32_t& seen) {
  return exchange(word, seen, own_id() | (seen & (FUTEX_WAITERS | FUTEX_OWNER_DIED)));
}

// What the thread waits for: that the word changes from `seen`.
void wait(Trap& trap, uint32_t seen) {
  const bool monotonic = command_of(trap.args[1]) == kLockPi2 &&
                         !(trap.args[1] & static_cast<uint64_t>(FUTEX_CLOCK_REALTIME));
  CallRecord* record = trap.begin_record();
  trap.args[1] = FUTEX_WAIT_BITSET | (trap.args[1] & FUTEX_PRIVATE_FLAG) |
                 (monotonic ? 0 : static_cast<uint64_t>(FUTEX_CLOCK_REALTIME));
  trap.args[2] = seen;
  trap.args[4] = 0;
  trap.args[5] = static_cast<uint64_t>(FUTEX_BITSET_MATCH_ANY);
  trap.go_checked(record);
}

void lock(Trap& trap, uint32_t* word, uint32_t seen) {
  for (;;) {
    const uint32_t owner = seen & FUTEX_TID_MASK;
    if (owner == 0) {
      if (take(word, seen)) return trap.answer(0);
      continue;
    }
    if (owner == own_id()) return trap.answer(-EDEADLK);
    if (command_of(trap.args[1]) == FUTEX_TRYLOCK_PI) return trap.answer(-EAGAIN);
    if (!(seen & FUTEX_WAITERS) && !exchange(word, seen, seen | FUTEX_WAITERS)) continue;
    return wait(trap, seen | FUTEX_WAITERS);
  }
}

}  // namespace

bool trap_futex(Trap& trap) {
  if (trap.number != __NR_futex) return false;
  uint32_t seen = 0;
  const uint64_t place = trap.args[0];
  if (place % sizeof seen != 0) {
    trap.answer(-EINVAL);
  } else if (!read_memory(&seen, place, sizeof seen)) {
    trap.answer(-EFAULT);
  } else if (command_of(trap.args[1]) == FUTEX_UNLOCK_PI) {
    trap.answer(unlock(reinterpret_cast<uint32_t*>(place), seen, trap.args[1]));
  } else {
    lock(trap, reinterpret_cast<uint32_t*>(place), seen);
  }
  return true;
}

// The wait is over: the call begins again, unless its time is up.
int64_t finish_futex(int64_t result, bool& again) {
  again = result == 0 || result == -EAGAIN || result == -EINTR;
  return result;
}

}  // namespace ck::agent
