// Eight threads that hand a token round under one mutex and condition variable.
// roundtrip: ten
#include <pthread.h>

#include "guest.h"

enum { kThreads = 8 };
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static int turn, done;
static long rounds, passes[kThreads];

static void* run(void* argument) {
  int self = (int)(long)argument;
  pthread_mutex_lock(&mutex);
  while (!done) {
    while (turn != self && !done) pthread_cond_wait(&changed, &mutex);
    if (done) break;
    passes[self]++;
    rounds++;
    turn = (self + 1) % kThreads;
    pthread_cond_broadcast(&changed);
  }
  pthread_mutex_unlock(&mutex);
  return (void*)passes[self];
}

int main(void) {
  pthread_t threads[kThreads];
  for (long i = 0; i < kThreads; i++) EXPECT_EQ(pthread_create(&threads[i], 0, run, (void*)i), 0);
  guest_ready();
  guest_wait();
  pthread_mutex_lock(&mutex);
  long before = rounds;
  // On a busy machine the others may wait long for a processor; a lost wake-up stops them for good.
  for (int i = 0; i < 1000 && rounds == before; i++) {
    pthread_mutex_unlock(&mutex);
    guest_nap(10);
    pthread_mutex_lock(&mutex);
  }
  EXPECT(rounds > before);
  done = 1;
  pthread_cond_broadcast(&changed);
  pthread_mutex_unlock(&mutex);
  long total = 0;
  for (int i = 0; i < kThreads; i++) {
    void* result;
    EXPECT_EQ(pthread_join(threads[i], &result), 0);
    EXPECT((long)result - rounds / kThreads <= 1 && rounds / kThreads - (long)result <= 1);
    total += (long)result;
  }
  EXPECT_EQ(total, rounds);
  return guest_ok();
}
