// A thread that can gain no privilege, unlike the others: ckpt must refuse by name and
// leave it alone.
#include <pthread.h>
#include <sys/prctl.h>

#include "../guest.h"

static pthread_barrier_t ready;

static void* run(void* unused) {
  EXPECT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  pthread_barrier_wait(&ready);
  guest_wait();
  return unused;
}

int main(void) {
  pthread_t thread;
  pthread_barrier_init(&ready, NULL, 2);
  EXPECT_EQ(pthread_create(&thread, NULL, run, NULL), 0);
  pthread_barrier_wait(&ready);
  guest_ready();
  EXPECT_EQ(pthread_join(thread, NULL), 0);
  return guest_ok();
}
