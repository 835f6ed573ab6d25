// clock_nanosleep on the CPU clock of the process, which goes slower than time does.
// roundtrip: delay=1
#include <pthread.h>
#include <stdatomic.h>

#include "guest.h"

enum { kSeconds = 2 };

static double cpu_time(void) {
  struct timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static atomic_int done;

static void* sleep_cpu(void* error) {
  struct timespec time = {kSeconds, 0};
  *(int*)error = clock_nanosleep(CLOCK_PROCESS_CPUTIME_ID, 0, &time, 0);
  atomic_store(&done, 1);
  return 0;
}

// The clock starts at 0 after a restart, so what it has told before is added up.
int main(void) {
  pthread_t thread;
  double last = cpu_time(), used = 0;
  int error;
  EXPECT_EQ(pthread_create(&thread, 0, sleep_cpu, &error), 0);
  guest_ready();
  while (!atomic_load(&done)) {
    double now = cpu_time();
    if (now > last) used += now - last;
    last = now;
  }
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(error, 0);
  if (used < kSeconds - 0.05) guest_fail("ended early, after %.3f s of CPU time", used);
  if (used > kSeconds + 0.5) guest_fail("ended late, after %.3f s of CPU time", used);
  return guest_ok();
}
