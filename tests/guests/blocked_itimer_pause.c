// pause, ended by an alarm that was set before.
// roundtrip: delay=2
#include <signal.h>

#include "guest.h"

static volatile int alarms;
static void on_alarm(int signal) {
  (void)signal;
  alarms++;
}

int main(void) {
  signal(SIGALRM, on_alarm);
  alarm(GUEST_BLOCK_SECONDS);
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(pause(), -1);
  EXPECT_EQ(errno, EINTR);
  EXPECT_EQ(alarms, 1);
  guest_expect_elapsed(start);
  return guest_ok();
}
