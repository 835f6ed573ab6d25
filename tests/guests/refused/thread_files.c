// A thread with descriptors of its own: ckpt must refuse by name and
// leave it alone.
#include <pthread.h>
#include <sched.h>

#include "../guest.h"

static pthread_barrier_t ready;

static void* run(void* unused) {
  EXPECT_EQ(unshare(CLONE_FILES), 0);
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
