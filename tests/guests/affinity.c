// Each thread's CPU affinity.
#include <pthread.h>
#include <sched.h>

#include "guest.h"

static cpu_set_t first, last;

static void* run(void* unused) {
  cpu_set_t seen;
  EXPECT_EQ(sched_setaffinity(0, sizeof last, &last), 0);
  guest_wait();
  EXPECT_EQ(sched_getaffinity(0, sizeof seen, &seen), 0);
  EXPECT(CPU_EQUAL(&seen, &last));
  return unused;
}

int main(void) {
  cpu_set_t all, seen;
  EXPECT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  if (CPU_COUNT(&all) < 2) guest_skip("only one CPU");
  int low = -1, high = -1;
  for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    if (CPU_ISSET(cpu, &all)) {
      if (low < 0) low = cpu;
      high = cpu;
    }
  CPU_SET(low, &first);
  CPU_SET(high, &last);
  pthread_t thread;
  pthread_create(&thread, 0, run, 0);
  EXPECT_EQ(sched_setaffinity(0, sizeof first, &first), 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(sched_getaffinity(0, sizeof seen, &seen), 0);
  EXPECT(CPU_EQUAL(&seen, &first));
  pthread_join(thread, 0);
  return guest_ok();
}
