// POSIX timers that send signals: ids, values, clocks, intervals, what remained, overruns.
// roundtrip: delay=0.5
#include <signal.h>

#include "guest.h"

static volatile int fired, value;
static void on_timer(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  fired++;
  value = info->si_value.sival_int;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGRTMIN + 1, &action, 0);
  timer_t unused, ticking, distant, disarmed, cpu;
  struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1};
  EXPECT_EQ(timer_create(CLOCK_MONOTONIC, &event, &unused), 0);
  event.sigev_value.sival_int = 4711;
  EXPECT_EQ(timer_create(CLOCK_MONOTONIC, &event, &ticking), 0);
  EXPECT_EQ(timer_create(CLOCK_REALTIME, &event, &distant), 0);
  EXPECT_EQ(timer_create(CLOCK_BOOTTIME, 0, &disarmed), 0);
  EXPECT_EQ(timer_create(CLOCK_PROCESS_CPUTIME_ID, &event, &cpu), 0);
  EXPECT_EQ(timer_delete(unused), 0);  // leaves a hole in the ids
  struct itimerspec tick = {{0, 50000000}, {0, 50000000}}, far = {{77, 5}, {1000, 0}}, seen;
  EXPECT_EQ(timer_settime(ticking, 0, &tick, 0), 0);
  EXPECT_EQ(timer_settime(distant, 0, &far, 0), 0);
  EXPECT_EQ(timer_settime(cpu, 0, &far, 0), 0);
  guest_ready();
  guest_wait();
  int count = fired;
  for (int i = 0; i < 400 && fired < count + 3; i++) guest_nap(20);
  EXPECT(fired >= count + 3);
  EXPECT_EQ(value, 4711);
  EXPECT_EQ(timer_gettime(ticking, &seen), 0);
  EXPECT_EQ(seen.it_interval.tv_nsec, 50000000);
  EXPECT_EQ(timer_gettime(distant, &seen), 0);
  EXPECT(seen.it_interval.tv_sec == 77 && seen.it_interval.tv_nsec == 5);
  EXPECT(seen.it_value.tv_sec > 930 && seen.it_value.tv_sec < 1000);
  EXPECT_EQ(timer_gettime(disarmed, &seen), 0);
  EXPECT(seen.it_value.tv_sec == 0 && seen.it_value.tv_nsec == 0);
  EXPECT_EQ(timer_gettime(cpu, &seen), 0);
  EXPECT(seen.it_value.tv_sec > 930 && seen.it_value.tv_sec <= 1000);
  timer_t timers[] = {ticking, distant, disarmed, cpu};
  for (int i = 0; i < 4; i++) EXPECT_EQ(timer_delete(timers[i]), 0);
  return guest_ok();
}
