// Cancellation after the restart: of a thread in a blocking call, and of one with it deferred.
#include <pthread.h>

#include "guest.h"

static int pipe_ends[2];
static volatile int cleaned;

static void clean(void* argument) {
  cleaned += (int)(long)argument;
}

static void* blocked(void* unused) {
  char byte;
  pthread_cleanup_push(clean, (void*)1);
  EXPECT_EQ(read(pipe_ends[0], &byte, 1), 1);
  pthread_cleanup_pop(0);
  return unused;
}
static void* deferring(void* unused) {
  pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, 0);
  guest_wait();
  pthread_cleanup_push(clean, (void*)10);
  pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, 0);
  for (int i = 0; i < 10000; i++) {
    pthread_testcancel();
    guest_nap(1);
  }
  pthread_cleanup_pop(0);
  return unused;
}

int main(void) {
  pthread_t first, second;
  void* result;
  EXPECT_EQ(pipe(pipe_ends), 0);
  pthread_create(&first, 0, blocked, 0);
  pthread_create(&second, 0, deferring, 0);
  guest_nap(20);
  EXPECT_EQ(pthread_cancel(second), 0);  // pending at the checkpoint
  guest_ready();
  guest_wait();
  EXPECT_EQ(pthread_cancel(first), 0);
  EXPECT_EQ(pthread_join(first, &result), 0);
  EXPECT(result == PTHREAD_CANCELED);
  EXPECT_EQ(pthread_join(second, &result), 0);
  EXPECT(result == PTHREAD_CANCELED);
  EXPECT_EQ(cleaned, 11);
  return guest_ok();
}
