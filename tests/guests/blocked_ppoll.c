// ppoll with a time-out and a signal mask.
// roundtrip: delay=2
#include <poll.h>
#include <signal.h>

#include "guest.h"

int main(void) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  struct pollfd wait = {ends[0], POLLIN, 0};
  struct timespec time = {GUEST_BLOCK_SECONDS, 0};
  sigset_t mask, after;
  sigfillset(&mask);
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(ppoll(&wait, 1, &time, &mask), 0);
  sigprocmask(SIG_BLOCK, 0, &after);
  EXPECT(!sigismember(&after, SIGTERM));
  guest_expect_elapsed(start);
  return guest_ok();
}
