// Process group and session: the ids that the program knew, and it can still signal its group.
// roundtrip: modes=resume,restart,twice
#include <signal.h>

#include "guest.h"

static volatile int received;
static void on_signal(int signal) {
  (void)signal;
  received++;
}

int main(void) {
  EXPECT(getpgrp() == getsid(0) || setpgid(0, 0) == 0);
  pid_t group = getpgrp(), session = getsid(0);
  signal(SIGURG, on_signal);
  guest_ready();
  guest_wait();
  EXPECT_EQ(getpgrp(), group);
  EXPECT_EQ(getpgid(0), group);
  EXPECT_EQ(getsid(0), session);
  EXPECT_EQ(kill(0, SIGURG), 0);
  EXPECT_EQ(received, 1);
  return guest_ok();
}
