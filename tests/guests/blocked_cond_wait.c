// pthread_cond_wait goes on waiting, and wakes when signalled.
// roundtrip: delay=0.4
#include <pthread.h>

#include "guest.h"

static volatile int woken;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int go;

static void* block(void* unused) {
  pthread_mutex_lock(&mutex);
  while (!go) pthread_cond_wait(&condition, &mutex);
  pthread_mutex_unlock(&mutex);
  woken = 1;
  return unused;
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, block, 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(woken, 0);
  pthread_mutex_lock(&mutex);
  go = 1;
  pthread_cond_signal(&condition);
  pthread_mutex_unlock(&mutex);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(woken, 1);
  return guest_ok();
}
