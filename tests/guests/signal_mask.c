// Each thread's signal mask, all 64 signals.
#include <pthread.h>
#include <signal.h>

#include "guest.h"

static void* run(void* argument) {
  long which = (long)argument;
  uint64_t mask = which ? 0xfffffffe7ffbfeffu & ~(1ull << (SIGTERM - 1)) : 0x5555555500000200u;
  uint64_t before = 0, after = 0;
  EXPECT_EQ(guest_raw(SYS_rt_sigprocmask, SIG_SETMASK, (long)&mask, 0, 8, 0, 0), 0);
  EXPECT_EQ(guest_raw(SYS_rt_sigprocmask, SIG_SETMASK, 0, (long)&before, 8, 0, 0), 0);
  if (which == 0) guest_ready();
  guest_wait();
  EXPECT_EQ(guest_raw(SYS_rt_sigprocmask, SIG_SETMASK, 0, (long)&after, 8, 0, 0), 0);
  EXPECT_EQ(after, before);
  return 0;
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, run, (void*)1);
  guest_nap(20);
  run(0);
  pthread_join(thread, 0);
  return guest_ok();
}
