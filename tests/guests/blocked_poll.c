// poll with a time-out, on a pipe that stays empty.
// roundtrip: delay=2
#include <poll.h>

#include "guest.h"

int main(void) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  struct pollfd wait = {ends[0], POLLIN, 0};
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(poll(&wait, 1, GUEST_BLOCK_SECONDS * 1000), 0);
  guest_expect_elapsed(start);
  return guest_ok();
}
