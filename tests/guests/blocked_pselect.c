// pselect with a time-out and a signal mask.
// roundtrip: delay=2
#include <signal.h>
#include <sys/select.h>

#include "guest.h"

int main(void) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  struct timespec time = {GUEST_BLOCK_SECONDS, 0};
  sigset_t mask, after;
  sigfillset(&mask);
  fd_set set;
  FD_ZERO(&set);
  FD_SET(ends[0], &set);
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(pselect(ends[0] + 1, &set, 0, 0, &time, &mask), 0);
  sigprocmask(SIG_BLOCK, 0, &after);
  EXPECT(!sigismember(&after, SIGTERM));
  EXPECT(!FD_ISSET(ends[0], &set));
  guest_expect_elapsed(start);
  return guest_ok();
}
