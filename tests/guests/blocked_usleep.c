// usleep.
// roundtrip: delay=2
#include "guest.h"

int main(void) {
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(usleep(GUEST_BLOCK_SECONDS * 1000000), 0);
  guest_expect_elapsed(start);
  return guest_ok();
}
