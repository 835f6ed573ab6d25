// A robust mutex that is held over the checkpoint: its owner's death is still told.
// roundtrip: modes=resume,restart,twice,real
#include <pthread.h>

#include "guest.h"

static pthread_mutex_t mutex;
static volatile int held;

static void* owner(void* unused) {
  EXPECT_EQ(pthread_mutex_lock(&mutex), 0);
  held = 1;
  guest_wait();
  return unused;  // ends with the mutex held
}

int main(void) {
  pthread_mutexattr_t kind;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_setrobust(&kind, PTHREAD_MUTEX_ROBUST);
  pthread_mutex_init(&mutex, &kind);
  pthread_t thread;
  pthread_create(&thread, 0, owner, 0);
  while (!held) guest_nap(1);
  guest_ready();
  guest_wait();
  EXPECT_EQ(pthread_mutex_lock(&mutex), EOWNERDEAD);
  EXPECT_EQ(pthread_mutex_consistent(&mutex), 0);
  EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  return guest_ok();
}
