// pthread_mutex_clocklock on a mutex that nobody gives up.
// roundtrip: delay=2
#include <pthread.h>

#include "guest.h"

int main(void) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_mutex_lock(&mutex);
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += GUEST_BLOCK_SECONDS;
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &until), ETIMEDOUT);
  guest_expect_elapsed(start);
  return guest_ok();
}
