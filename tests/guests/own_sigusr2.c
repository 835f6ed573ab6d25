// A program that handles SIGUSR2 itself keeps it for itself; checkpoints by command still work.
#include <signal.h>

#include "guest.h"

static volatile int received;
static void on_usr2(int signal) {
  (void)signal;
  received++;
}

int main(void) {
  signal(SIGUSR2, on_usr2);
  guest_ready();
  guest_wait();
  EXPECT_EQ(received, 0);
  for (int i = 1; i <= 3; i++) {
    kill(getpid(), SIGUSR2);
    EXPECT_EQ(received, i);
  }
  struct sigaction seen;
  sigaction(SIGUSR2, 0, &seen);
  EXPECT(seen.sa_handler == on_usr2);
  return guest_ok();
}
