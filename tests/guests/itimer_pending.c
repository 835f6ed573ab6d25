// An interval timer that has fired while SIGALRM is blocked: the kernel starts it again when the
// signal is taken, and shows it as not running until then.
// roundtrip: modes=resume,restart,twice,real,virtual
#include <signal.h>
#include <sys/time.h>

#include "guest.h"

static volatile int fired;
static void on_alarm(int signal) {
  (void)signal;
  fired++;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_alarm, .sa_flags = SA_RESTART};
  sigaction(SIGALRM, &action, 0);
  sigset_t alarm, pending;
  sigemptyset(&alarm);
  sigaddset(&alarm, SIGALRM);
  sigprocmask(SIG_BLOCK, &alarm, 0);
  struct itimerval timer = {{0, 30000}, {0, 10000}}, seen;
  setitimer(ITIMER_REAL, &timer, 0);
  do {
    guest_nap(1);
    sigpending(&pending);
  } while (!sigismember(&pending, SIGALRM));
  guest_ready();
  guest_wait();
  EXPECT_EQ(fired, 0);
  EXPECT_EQ(getitimer(ITIMER_REAL, &seen), 0);
  EXPECT_EQ(seen.it_interval.tv_usec, 30000);
  sigprocmask(SIG_UNBLOCK, &alarm, 0);
  EXPECT_EQ(fired, 1);
  for (int i = 0; i < 200 && fired < 4; i++) guest_nap(50);
  EXPECT(fired >= 4);
  return guest_ok();
}
