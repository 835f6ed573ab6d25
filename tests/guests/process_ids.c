// Process and thread ids, by the library and by raw system calls, in all threads.
#include <pthread.h>

#include "guest.h"

static void ids(long* out) {
  out[0] = guest_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
  out[1] = guest_raw(SYS_gettid, 0, 0, 0, 0, 0, 0);
  EXPECT_EQ(getpid(), out[0]);
  EXPECT_EQ(gettid(), out[1]);
}

static void* check(void* leader) {
  long before[2], after[2];
  ids(before);
  if (leader) guest_ready();
  guest_wait();
  ids(after);
  for (int i = 0; i < 2; i++)
    if (after[i] != before[i]) guest_fail("id %d is %ld, was %ld", i, after[i], before[i]);
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/task/%ld/comm", after[0], after[1]);
  EXPECT_EQ(access(path, R_OK), 0);
  return 0;
}

int main(void) {
  pthread_t threads[3];
  for (int i = 0; i < 3; i++) pthread_create(&threads[i], 0, check, 0);
  guest_nap(20);
  check("leader");
  for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
  return guest_ok();
}
