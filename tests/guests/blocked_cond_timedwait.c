// pthread_cond_timedwait on the monotonic clock.
// roundtrip: delay=2
#include <pthread.h>

#include "guest.h"

int main(void) {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_condattr_t kind;
  pthread_cond_t condition;
  pthread_condattr_init(&kind);
  pthread_condattr_setclock(&kind, CLOCK_MONOTONIC);
  pthread_cond_init(&condition, &kind);
  struct timespec until;
  clock_gettime(CLOCK_MONOTONIC, &until);
  until.tv_sec += GUEST_BLOCK_SECONDS;
  pthread_mutex_lock(&mutex);
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(pthread_cond_timedwait(&condition, &mutex, &until), ETIMEDOUT);
  EXPECT_EQ(pthread_mutex_unlock(&mutex), 0);
  guest_expect_elapsed(start);
  return guest_ok();
}
