// setitimer(ITIMER_REAL) with an interval: it fires as often as its interval says, never at once.
// roundtrip: delay=1
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
  struct itimerval timer = {{0, 100000}, {0, 300000}}, seen;
  double start = guest_now();
  setitimer(ITIMER_REAL, &timer, 0);
  guest_ready();
  guest_wait();
  guest_nap(200);
  double elapsed = guest_now() - start;
  int count = fired, most = (int)((elapsed - 0.3) / 0.1) + 2;
  if (count > most || count < most * 2 / 5)
    guest_fail("fired %d times in %.3f s, expected about %d", count, elapsed, most - 1);
  getitimer(ITIMER_REAL, &seen);
  EXPECT_EQ(seen.it_interval.tv_usec, 100000);
  EXPECT(seen.it_value.tv_sec == 0 && seen.it_value.tv_usec <= 101000);
  for (int i = 0; i < 200 && fired < count + 3; i++) guest_nap(50);
  EXPECT(fired >= count + 3);
  return guest_ok();
}
