// setitimer(ITIMER_VIRTUAL): it counts the process's own CPU time and goes on after the restart.
#include <signal.h>
#include <sys/time.h>

#include "guest.h"

static volatile int fired;
static void on_timer(int signal) {
  (void)signal;
  fired++;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
  sigaction(SIGVTALRM, &action, 0);
  struct itimerval timer = {{0, 20000}, {0, 20000}}, seen, far = {{0, 0}, {500, 0}};
  setitimer(ITIMER_VIRTUAL, &timer, 0);
  guest_ready();
  volatile long work = 0;
  while (!guest_released()) work++;
  int count = fired;
  double deadline = guest_now() + 20;
  while (fired < count + 5 && guest_now() < deadline) work++;
  EXPECT(fired >= count + 5);
  getitimer(ITIMER_VIRTUAL, &seen);
  EXPECT_EQ(seen.it_interval.tv_usec, 20000);
  EXPECT_EQ(setitimer(ITIMER_VIRTUAL, &far, 0), 0);
  getitimer(ITIMER_VIRTUAL, &seen);
  EXPECT(seen.it_value.tv_sec >= 495 && seen.it_value.tv_sec <= 500);
  return guest_ok();
}
