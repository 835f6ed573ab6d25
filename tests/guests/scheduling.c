// Scheduling policy and nice value of each thread: SCHED_BATCH, SCHED_IDLE, nice.
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include "guest.h"

static void* run(void* unused) {
  struct sched_param none = {0};
  EXPECT_EQ(sched_setscheduler(0, SCHED_IDLE, &none), 0);
  guest_wait();
  EXPECT_EQ(sched_getscheduler(0), SCHED_IDLE);
  return unused;
}

int main(void) {
  struct sched_param none = {0};
  pthread_t thread;
  pthread_create(&thread, 0, run, 0);
  EXPECT_EQ(sched_setscheduler(0, SCHED_BATCH | SCHED_RESET_ON_FORK, &none), 0);
  EXPECT_EQ(setpriority(PRIO_PROCESS, 0, 7), 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(sched_getscheduler(0), SCHED_BATCH | SCHED_RESET_ON_FORK);
  EXPECT_EQ(getpriority(PRIO_PROCESS, 0), 7);
  pthread_join(thread, 0);
  return guest_ok();
}
