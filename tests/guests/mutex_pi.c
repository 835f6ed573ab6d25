// A priority-inheritance mutex that is held, and waited for, over the checkpoint.
#include <pthread.h>

#include "guest.h"

static pthread_mutex_t mutex;
static volatile int waiter_has_it;

static void* waiter(void* unused) {
  EXPECT_EQ(pthread_mutex_lock(&mutex), 0);  // the kernel compares thread ids here
  waiter_has_it = 1;
  EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
  return unused;
}

int main(void) {
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  EXPECT_EQ(pthread_mutexattr_setprotocol(&kind, PTHREAD_PRIO_INHERIT), 0);
  pthread_mutex_init(&mutex, &kind);
  EXPECT_EQ(pthread_mutex_lock(&mutex), 0);
  pthread_t thread;
  pthread_create(&thread, 0, waiter, 0);
  guest_nap(50);
  guest_ready();
  guest_wait();
  EXPECT_EQ(waiter_has_it, 0);
  EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(waiter_has_it, 1);
  EXPECT_EQ(pthread_mutex_lock(&mutex), 0);
  EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
  return guest_ok();
}
