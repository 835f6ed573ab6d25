// select with a time-out; its sets are right afterwards.
// roundtrip: delay=2
#include <sys/select.h>

#include "guest.h"

int main(void) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  struct timeval time = {GUEST_BLOCK_SECONDS, 0};
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends[0], &set);
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(select(ends[0] + 1, &set, 0, 0, &time), 0);
  EXPECT(!FD_ISSET(ends[0], &set));
  EXPECT(time.tv_sec == 0 && time.tv_usec == 0);
  guest_expect_elapsed(start);
  return guest_ok();
}
