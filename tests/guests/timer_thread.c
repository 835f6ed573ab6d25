// A POSIX timer that calls a function in a new thread (SIGEV_THREAD).
// roundtrip: state=no maps=no delay=0.5
#include <signal.h>

#include "guest.h"

static volatile int calls, value;
static void on_tick(union sigval given) {
  value = given.sival_int;
  __atomic_fetch_add(&calls, 1, __ATOMIC_SEQ_CST);
}

int main(void) {
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = on_tick};
  event.sigev_value.sival_int = 99;
  EXPECT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  struct itimerspec tick = {{0, 50000000}, {0, 50000000}};
  EXPECT_EQ(timer_settime(timer, 0, &tick, 0), 0);
  guest_ready();
  guest_wait();
  int before = calls;
  for (int i = 0; i < 400 && calls < before + 3; i++) guest_nap(20);
  EXPECT(calls >= before + 3);
  EXPECT_EQ(value, 99);
  EXPECT_EQ(timer_delete(timer), 0);
  return guest_ok();
}
