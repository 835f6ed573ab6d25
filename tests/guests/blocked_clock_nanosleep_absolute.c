// clock_nanosleep until a time of CLOCK_MONOTONIC.
// roundtrip: delay=2
#include "guest.h"

int main(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  time.tv_sec += GUEST_BLOCK_SECONDS;
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, 0), 0);
  guest_expect_elapsed(start);
  return guest_ok();
}
