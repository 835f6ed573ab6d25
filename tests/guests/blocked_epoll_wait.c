// epoll_wait with a time-out.
// roundtrip: delay=2
#include <sys/epoll.h>

#include "guest.h"

int main(void) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  int epoll = epoll_create1(0);
  struct epoll_event event = {.events = EPOLLIN};
  EXPECT_EQ(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), 0);
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(epoll_wait(epoll, &event, 1, GUEST_BLOCK_SECONDS * 1000), 0);
  guest_expect_elapsed(start);
  return guest_ok();
}
