// A thread waits for the completion of a request that another thread has yet to make: the ring is
// idle, and the call goes on waiting.
#include <pthread.h>

#include "guest_ring.h"

static struct guest_ring ring;

static void* wait_for_one(void* unused) {
  (void)unused;
  struct guest_completion completion = ring_completion(&ring);
  EXPECT_EQ(completion.user_data, 123);
  return 0;
}

int main(void) {
  ring = ring_open(8, 0);
  ring_work(&ring, 77);
  pthread_t thread;
  EXPECT(pthread_create(&thread, 0, wait_for_one, 0) == 0);
  guest_ready();
  guest_wait();
  ring_request(&ring, IORING_OP_NOP, 123);
  ring_submit(&ring);
  EXPECT(pthread_join(thread, 0) == 0);
  ring_check(&ring, 78, 78);
  return guest_ok();
}
