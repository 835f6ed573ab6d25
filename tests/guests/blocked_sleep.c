// sleep: nothing is left of its time when it ends.
// roundtrip: delay=2
#include "guest.h"

int main(void) {
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(sleep(GUEST_BLOCK_SECONDS), 0);
  guest_expect_elapsed(start);
  return guest_ok();
}
