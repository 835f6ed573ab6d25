// A thread that is being joined at the checkpoint, one joined later, one detached.
#include <pthread.h>

#include "guest.h"

static volatile int detached_ended;

static void* wait_and_return(void* argument) {
  guest_wait();
  return argument;
}
static void* joiner(void* argument) {
  void* result;
  EXPECT_EQ(pthread_join(*(pthread_t*)argument, &result), 0);
  return (void*)((long)result + 1);
}
static void* detached(void* unused) {
  guest_wait();
  detached_ended = 1;
  return unused;
}

int main(void) {
  pthread_t first, second, third, fourth;
  void* result;
  pthread_create(&first, 0, wait_and_return, (void*)100);
  pthread_create(&second, 0, joiner, &first);
  pthread_create(&third, 0, wait_and_return, (void*)300);
  pthread_create(&fourth, 0, detached, 0);
  pthread_detach(fourth);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(pthread_join(second, &result), 0);
  EXPECT_EQ((long)result, 101);
  EXPECT_EQ(pthread_join(third, &result), 0);
  EXPECT_EQ((long)result, 300);
  for (int i = 0; i < 1000 && !detached_ended; i++) guest_nap(5);
  EXPECT(detached_ended);
  pthread_create(&first, 0, wait_and_return, (void*)7);
  EXPECT_EQ(pthread_join(first, &result), 0);
  EXPECT_EQ((long)result, 7);
  return guest_ok();
}
