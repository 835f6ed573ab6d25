// What a thread notes about a blocking call while it is in one of the agent's wrappers, for the
// kernel does not tell how much of a relative time-out is left. Lives on the thread's stack, linked
// from one thread-local pointer. The agent writes, the engine reads while the thread is stopped.
#pragma once

#include <stdint.h>

namespace ck::abi {

enum TimeoutForm : uint32_t {
  kNoTimeout = 0,     // the call blocks for good; noted for its number alone
  kMilliseconds = 1,  // args[index] is a count of milliseconds (poll, epoll_wait)
  kTimespec = 2,      // args[index] points to the record's own timespec (nanosleep, futex, …)
};

inline constexpr uint64_t kTimedCallMagic = 0x6c6c616364656d74;  // "tmedcall"

struct TimedCall {
  uint64_t magic;       // a record left behind by longjmp is recognised by magic, number and place
  int64_t number;       // of the system call
  uint32_t form;        // TimeoutForm
  uint32_t index;       // of the time-out among the arguments
  int64_t deadline_ns;  // CLOCK_MONOTONIC
  int64_t timespec[2];  // what the call was given; the engine writes here what remains
  TimedCall* outer;     // the record that this one interrupted (a signal handler), or null
};

}  // namespace ck::abi
