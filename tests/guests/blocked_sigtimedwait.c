// sigtimedwait with a time-out.
// roundtrip: delay=2
#include <signal.h>

#include "guest.h"

int main(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, 0);
  struct timespec time = {GUEST_BLOCK_SECONDS, 0};
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(sigtimedwait(&set, 0, &time), -1);
  EXPECT_EQ(errno, EAGAIN);
  guest_expect_elapsed(start);
  return guest_ok();
}
