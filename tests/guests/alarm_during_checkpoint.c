// A pause that is ended by a dense series of alarms: some fire while a checkpoint is under way. No
// signal is lost: each pause ends, with EINTR, and the handler has run.
// roundtrip: delay=0.6
#include <signal.h>
#include <sys/time.h>

#include "guest.h"

static volatile int alarms;
static void on_alarm(int signal) {
  (void)signal;
  alarms++;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_alarm};
  sigset_t none, blocked;
  sigemptyset(&none);
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGALRM);
  sigprocmask(SIG_BLOCK, &blocked, 0);
  sigaction(SIGALRM, &action, 0);
  struct itimerval once = {{0, 0}, {0, 3000}};
  guest_ready();
  while (!guest_released()) {
    int before = alarms;
    setitimer(ITIMER_REAL, &once, 0);
    EXPECT_EQ(sigsuspend(&none), -1);  // hangs, to the deadline of the test, if an alarm is lost
    EXPECT_EQ(errno, EINTR);
    EXPECT_EQ(alarms, before + 1);
  }
  return guest_ok();
}
