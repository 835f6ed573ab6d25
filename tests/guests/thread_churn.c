// Threads are created and joined all the time; the checkpoint lands in the middle.
// roundtrip: state=no maps=no ten crowded
#include <pthread.h>

#include "guest.h"

static void* short_life(void* argument) {
  char* block = malloc(1000);
  memset(block, (int)(long)argument, 1000);
  long sum = block[999];
  free(block);
  return (void*)sum;
}

static void* churn(void* unused) {
  (void)unused;
  long count = 0;
  while (!guest_released()) {
    pthread_t threads[4];
    for (long i = 0; i < 4; i++) EXPECT_EQ(pthread_create(&threads[i], 0, short_life, (void*)i), 0);
    for (long i = 0; i < 4; i++) {
      void* result;
      EXPECT_EQ(pthread_join(threads[i], &result), 0);
      EXPECT_EQ((long)result, i);
      count++;
    }
  }
  return (void*)count;
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, churn, 0);
  guest_ready();
  EXPECT((long)churn(0) > 0);
  void* count;
  EXPECT_EQ(pthread_join(thread, &count), 0);
  EXPECT((long)count > 0);
  return guest_ok();
}
