// read on an empty pipe: EINTR by the program's own alarm (no SA_RESTART), and by that alone.
// roundtrip: delay=2
#include <signal.h>

#include "guest.h"

static volatile int alarms;
static void on_alarm(int signal) {
  (void)signal;
  alarms++;
}

int main(void) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  struct sigaction action = {.sa_handler = on_alarm};
  sigaction(SIGALRM, &action, 0);
  alarm(GUEST_BLOCK_SECONDS);
  double start = guest_now();
  guest_ready();
  char byte;
  EXPECT_EQ(read(ends[0], &byte, 1), -1);
  EXPECT_EQ(errno, EINTR);
  EXPECT_EQ(alarms, 1);
  guest_expect_elapsed(start);
  return guest_ok();
}
