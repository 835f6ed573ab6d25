// read on an empty pipe goes on waiting, and gets what is written later.
// roundtrip: delay=0.4
#include <pthread.h>

#include "guest.h"

static volatile int woken;
static int ends[2];

static void* block(void* unused) {
  char byte = 0;
  EXPECT_EQ(read(ends[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'q');
  woken = 1;
  return unused;
}

int main(void) {
  EXPECT_EQ(pipe(ends), 0);
  pthread_t thread;
  pthread_create(&thread, 0, block, 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(woken, 0);
  EXPECT_EQ(write(ends[1], "q", 1), 1);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(woken, 1);
  return guest_ok();
}
