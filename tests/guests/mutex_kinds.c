// Error-checking and recursive mutexes know their owner after the restart, whatever its thread id.
#include <pthread.h>

#include "guest.h"

static pthread_mutex_t recursive, checking;
static pthread_barrier_t barrier;

static pthread_mutex_t make(int type) {
  pthread_mutexattr_t kind;
  pthread_mutex_t mutex;
  pthread_mutexattr_init(&kind);
  pthread_mutexattr_settype(&kind, type);
  pthread_mutex_init(&mutex, &kind);
  return mutex;
}

static void* other(void* unused) {
  pthread_mutex_lock(&checking);
  pthread_barrier_wait(&barrier);
  guest_wait();
  EXPECT_EQ(pthread_mutex_lock(&checking), EDEADLK);
  EXPECT_EQ(pthread_mutex_trylock(&recursive), EBUSY);
  pthread_barrier_wait(&barrier);
  pthread_barrier_wait(&barrier);
  EXPECT_EQ(pthread_mutex_unlock(&checking), 0);
  return unused;
}

int main(void) {
  recursive = make(PTHREAD_MUTEX_RECURSIVE);
  checking = make(PTHREAD_MUTEX_ERRORCHECK);
  pthread_barrier_init(&barrier, 0, 2);
  for (int i = 0; i < 3; i++) EXPECT_EQ(pthread_mutex_lock(&recursive), 0);
  pthread_t thread;
  pthread_create(&thread, 0, other, 0);
  pthread_barrier_wait(&barrier);
  guest_ready();
  guest_wait();
  pthread_barrier_wait(&barrier);
  EXPECT_EQ(pthread_mutex_lock(&recursive), 0);
  for (int i = 0; i < 4; i++) EXPECT_EQ(pthread_mutex_unlock(&recursive), 0);
  EXPECT_EQ(pthread_mutex_unlock(&recursive), EPERM);
  EXPECT_EQ(pthread_mutex_unlock(&checking), EPERM);
  pthread_barrier_wait(&barrier);
  pthread_join(thread, 0);
  return guest_ok();
}
