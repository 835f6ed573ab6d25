// sem_clockwait on the monotonic clock.
// roundtrip: delay=2
#include <semaphore.h>

#include "guest.h"

int main(void) {
  sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += GUEST_BLOCK_SECONDS;
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(sem_clockwait(&semaphore, CLOCK_MONOTONIC, &until), -1);
  EXPECT_EQ(errno, ETIMEDOUT);
  guest_expect_elapsed(start);
  return guest_ok();
}
