// eventfd: count, semaphore mode, a thread that waits on it.
#include <pthread.h>
#include <sys/eventfd.h>

#include "guest.h"

static int wake;
static void* wait_for_it(void* unused) {
  uint64_t value;
  EXPECT_EQ(read(wake, &value, 8), 8);
  EXPECT_EQ(value, 5);
  return unused;
}

int main(void) {
  int plain = eventfd(17, EFD_NONBLOCK), semaphore = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK);
  int full = eventfd(0, EFD_NONBLOCK);
  uint64_t value = 0xfffffffffffffffeu;
  EXPECT_EQ(write(full, &value, 8), 8);
  wake = eventfd(0, EFD_CLOEXEC);
  pthread_t thread;
  pthread_create(&thread, 0, wait_for_it, 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(read(plain, &value, 8), 8);
  EXPECT_EQ(value, 17);
  EXPECT(read(plain, &value, 8) == -1 && errno == EAGAIN);
  for (int i = 0; i < 3; i++) EXPECT(read(semaphore, &value, 8) == 8 && value == 1);
  EXPECT(read(semaphore, &value, 8) == -1 && errno == EAGAIN);
  value = 1;
  EXPECT(write(full, &value, 8) == -1 && errno == EAGAIN);
  value = 5;
  EXPECT_EQ(write(wake, &value, 8), 8);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  return guest_ok();
}
