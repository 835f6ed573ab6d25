// A timer's signals and queued signals arrive all the time: each queued value comes once, in order.
// roundtrip: delay=0.4 state=no
#include <signal.h>
#include <sys/time.h>

#include "guest.h"

static volatile long received, ticks, disorder;
static void on_value(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  if (info->si_value.sival_int != (int)received) disorder++;
  received++;
}
static void on_tick(int signal) {
  (void)signal;
  ticks++;
}

int main(void) {
  struct sigaction value = {.sa_sigaction = on_value, .sa_flags = SA_SIGINFO | SA_RESTART};
  struct sigaction tick = {.sa_handler = on_tick, .sa_flags = SA_RESTART};
  sigaction(SIGRTMIN + 2, &value, 0);
  sigaction(SIGALRM, &tick, 0);
  struct itimerval often = {{0, 500}, {0, 500}}, off = {{0, 0}, {0, 0}};
  setitimer(ITIMER_REAL, &often, 0);
  long sent = 0;
  guest_ready();
  while (!guest_released())
    for (int i = 0; i < 50; i++)
      EXPECT_EQ(sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = (int)sent++}), 0);
  setitimer(ITIMER_REAL, &off, 0);
  EXPECT_EQ(received, sent);
  EXPECT_EQ(disorder, 0);
  EXPECT(ticks > 0);
  return guest_ok();
}
