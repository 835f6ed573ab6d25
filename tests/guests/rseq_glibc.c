// glibc's rseq registration is valid again after the restart: the kernel keeps cpu_id up to date.
#include <pthread.h>
#include <sched.h>
#include <sys/rseq.h>

#include "guest.h"

static struct rseq* area(void) {
  return (struct rseq*)((char*)__builtin_thread_pointer() + __rseq_offset);
}

// Moves over the CPUs and looks at each whether rseq tells the same one.
static void check(void) {
  cpu_set_t all, one;
  EXPECT_EQ(sched_getaffinity(0, sizeof all, &all), 0);
  for (int cpu = 0; cpu < 64; cpu++) {
    if (!CPU_ISSET(cpu, &all)) continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    EXPECT_EQ(sched_setaffinity(0, sizeof one, &one), 0);
    EXPECT_EQ(area()->cpu_id, cpu);
    EXPECT_EQ(area()->cpu_id_start, cpu);
    EXPECT_EQ(sched_getcpu(), cpu);
  }
  EXPECT_EQ(sched_setaffinity(0, sizeof all, &all), 0);
}

static void* run(void* unused) {
  guest_wait();
  check();
  return unused;
}

int main(void) {
  if (__rseq_size == 0) guest_skip("glibc has not registered rseq");
  check();
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, run, 0);
  guest_ready();
  guest_wait();
  check();
  for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
  return guest_ok();
}
