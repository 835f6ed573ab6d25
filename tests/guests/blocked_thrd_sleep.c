// thrd_sleep (C11) over a checkpoint: as long as asked for, and no EINTR.
// roundtrip: delay=2
#include <threads.h>

#include "guest.h"

int main(void) {
  struct timespec time = {GUEST_BLOCK_SECONDS, 0};
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(thrd_sleep(&time, NULL), 0);
  guest_expect_elapsed(start);
  return guest_ok();
}
