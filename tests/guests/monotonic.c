// CLOCK_MONOTONIC and CLOCK_BOOTTIME never go backwards nor jump, by the vdso and by system call;
// CLOCK_REALTIME is the host's.
#include "guest.h"

static double now(clockid_t clock, int raw) {
  struct timespec time;
  if (raw)
    guest_raw(SYS_clock_gettime, clock, (long)&time, 0, 0, 0, 0);
  else
    clock_gettime(clock, &time);
  return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

int main(void) {
  clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_BOOTTIME};
  double last[2] = {now(clocks[0], 0), now(clocks[1], 0)};
  guest_ready();
  while (!guest_released()) {
    for (int i = 0; i < 2; i++) {
      double by_vdso = now(clocks[i], 0), by_call = now(clocks[i], 1);
      if (by_vdso < last[i] || by_call < by_vdso)
        guest_fail("clock %d went back: %.9f, %.9f, %.9f", i, last[i], by_vdso, by_call);
      if (by_call > last[i] + 10) guest_fail("clock %d jumped by %.3f s", i, by_call - last[i]);
      last[i] = by_call;
    }
    guest_nap(1);
  }
  EXPECT(now(CLOCK_REALTIME, 0) > 1.6e9);
  double apart = now(CLOCK_REALTIME, 0) - now(CLOCK_REALTIME, 1);
  EXPECT(apart < 0.5 && apart > -0.5);
  return guest_ok();
}
