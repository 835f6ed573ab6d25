// sigsuspend, ended by an alarm; the mask is the old one again.
// roundtrip: delay=2
#include <signal.h>

#include "guest.h"

static volatile int alarms;
static void on_alarm(int signal) {
  (void)signal;
  alarms++;
}

int main(void) {
  sigset_t mask, blocked, after;
  signal(SIGALRM, on_alarm);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGALRM);
  sigprocmask(SIG_BLOCK, &blocked, 0);
  sigfillset(&mask);
  sigdelset(&mask, SIGALRM);
  alarm(GUEST_BLOCK_SECONDS);
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(sigsuspend(&mask), -1);
  EXPECT_EQ(errno, EINTR);
  EXPECT_EQ(alarms, 1);
  sigprocmask(SIG_BLOCK, 0, &after);
  EXPECT(sigismember(&after, SIGALRM) && !sigismember(&after, SIGTERM));
  guest_expect_elapsed(start);
  return guest_ok();
}
