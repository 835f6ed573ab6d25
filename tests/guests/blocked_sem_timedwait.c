// sem_timedwait until a time of the real clock.
// roundtrip: delay=2
#include <semaphore.h>

#include "guest.h"

int main(void) {
  sem_t semaphore;
  sem_init(&semaphore, 0, 0);
  struct timespec until;
  clock_gettime(CLOCK_REALTIME, &until);
  until.tv_sec += GUEST_BLOCK_SECONDS;
  guest_ready();
  EXPECT_EQ(sem_timedwait(&semaphore, &until), -1);
  EXPECT_EQ(errno, ETIMEDOUT);
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  EXPECT(now.tv_sec >= until.tv_sec && now.tv_sec <= until.tv_sec + 1);
  return guest_ok();
}
