#include "interpose/monotonic.h"

#include <time.h>
#include <x86intrin.h>

namespace ck::agent {

namespace {

constexpr uint64_t kFreshTicks = 2000000;         // how long a reading serves
constexpr uint64_t kMinTicks = 1000000;           // between two readings that tell the rate
constexpr uint64_t kMaxTicks = 2000000000;        // of a counter of 1 GHz and more: under 2^31 ns
constexpr uint64_t kUndisturbedTicks = 2000;      // for a reading
constexpr uint64_t kSlowest = uint64_t{1} << 32;  // rate of a counter of 1 GHz, in 2^-32 ns a tick

// A reading. Another host's, in a process that was restarted, is too far from the counter to serve.
struct Reading {
  uint64_t ticks;  // 0: none
  int64_t ns;
  uint64_t rate;  // 0: not known yet
};
__thread Reading reading __attribute__((tls_model("initial-exec")));

uint64_t rate_between(uint64_t ticks, int64_t ns) {
  if (ticks < kMinTicks || ticks > kMaxTicks || ns < 0 || ns >> 31 != 0) return 0;
  const uint64_t rate = (static_cast<uint64_t>(ns) << 32) / ticks;
  return rate > kSlowest ? 0 : rate;
}

int64_t read_clock() {
  const Reading before = reading;
  reading.ticks = 0;  // a signal handler that comes now makes a reading of its own
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  timespec now;
  const uint64_t ticks = __rdtsc();
  clock_gettime(CLOCK_MONOTONIC, &now);
  const bool undisturbed = __rdtsc() - ticks < kUndisturbedTicks;
  const int64_t ns = now.tv_sec * 1000000000 + now.tv_nsec;
  if (!undisturbed) return ns;
  reading.rate = before.ticks == 0 ? 0 : rate_between(ticks - before.ticks, ns - before.ns);
  reading.ns = ns;
  __atomic_signal_fence(__ATOMIC_SEQ_CST);
  reading.ticks = ticks;
  return ns;
}

}  // namespace

int64_t monotonic_ns() {
  const uint64_t passed = __rdtsc() - reading.ticks;
  if (passed < kFreshTicks && reading.rate != 0)
    return reading.ns + static_cast<int64_t>(passed * reading.rate >> 32);
  if (passed < kMinTicks) {  // too early for another reading to tell the rate
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000 + now.tv_nsec;
  }
  return read_clock();
}

}  // namespace ck::agent
