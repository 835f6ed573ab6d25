// A raw futex wait with a relative time-out.
// roundtrip: delay=2
#include <linux/futex.h>

#include "guest.h"

int main(void) {
  int word = 5;
  struct timespec time = {GUEST_BLOCK_SECONDS, 0};
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 5, &time, 0, 0), -1);
  EXPECT_EQ(errno, ETIMEDOUT);
  guest_expect_elapsed(start);
  return guest_ok();
}
