// The names of threads, and the process's by prctl.
#include <pthread.h>
#include <sys/prctl.h>

#include "guest.h"

static pthread_barrier_t checked;

static void* run(void* argument) {
  char name[16], seen[16];
  snprintf(name, sizeof name, "worker %ld", (long)argument);
  pthread_setname_np(pthread_self(), name);
  guest_wait();
  EXPECT_EQ(prctl(PR_GET_NAME, seen), 0);
  EXPECT(strcmp(seen, name) == 0);
  pthread_barrier_wait(&checked);
  return 0;
}

int main(void) {
  pthread_t threads[3];
  pthread_barrier_init(&checked, 0, 4);
  for (long i = 0; i < 3; i++) pthread_create(&threads[i], 0, run, (void*)i);
  prctl(PR_SET_NAME, "leader (:) x");
  guest_nap(50);
  guest_ready();
  guest_wait();
  char seen[16], name[16];
  prctl(PR_GET_NAME, seen);
  EXPECT(strcmp(seen, "leader (:) x") == 0);
  EXPECT_EQ(pthread_getname_np(threads[2], name, sizeof name), 0);
  EXPECT(strcmp(name, "worker 2") == 0);
  pthread_barrier_wait(&checked);
  for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
  return guest_ok();
}
