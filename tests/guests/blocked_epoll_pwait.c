// epoll_pwait with a time-out and a signal mask.
// roundtrip: delay=2
#include <signal.h>
#include <sys/epoll.h>

#include "guest.h"

int main(void) {
  int epoll = epoll_create1(0);
  struct epoll_event event;
  sigset_t mask, after;
  sigfillset(&mask);
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(epoll_pwait(epoll, &event, 1, GUEST_BLOCK_SECONDS * 1000, &mask), 0);
  sigprocmask(SIG_BLOCK, 0, &after);
  EXPECT(!sigismember(&after, SIGTERM));
  guest_expect_elapsed(start);
  return guest_ok();
}
