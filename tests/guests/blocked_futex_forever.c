// A raw futex wait goes on, and a wake after the restart finds it.
// roundtrip: delay=0.4
#include <linux/futex.h>
#include <pthread.h>

#include "guest.h"

static volatile int woken;
static int word = 1;

static void* block(void* unused) {
  EXPECT_EQ(guest_raw(SYS_futex, (long)&word, FUTEX_WAIT, 1, 0, 0, 0), 0);
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
  int count = 0;
  for (int i = 0; i < 200 && !count; i++, guest_nap(5))
    count = (int)guest_raw(SYS_futex, (long)&word, FUTEX_WAKE, 1, 0, 0, 0);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(woken, 1);
  return guest_ok();
}
