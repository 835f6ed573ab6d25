// sigwaitinfo, ended by the signal of a timer, with its value.
// roundtrip: delay=2
#include <signal.h>

#include "guest.h"

int main(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 2);
  sigprocmask(SIG_BLOCK, &set, 0);
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 2};
  event.sigev_value.sival_int = 55;
  struct itimerspec when = {{0, 0}, {GUEST_BLOCK_SECONDS, 0}};
  EXPECT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  EXPECT_EQ(timer_settime(timer, 0, &when, 0), 0);
  double start = guest_now();
  guest_ready();
  siginfo_t info;
  EXPECT_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 2);
  EXPECT_EQ(info.si_value.sival_int, 55);
  EXPECT_EQ(info.si_code, SI_TIMER);
  guest_expect_elapsed(start);
  return guest_ok();
}
