// clock_nanosleep with a relative time.
// roundtrip: delay=2
#include "guest.h"

int main(void) {
  struct timespec time = {GUEST_BLOCK_SECONDS, 0};
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(clock_nanosleep(CLOCK_MONOTONIC, 0, &time, 0), 0);
  guest_expect_elapsed(start);
  return guest_ok();
}
