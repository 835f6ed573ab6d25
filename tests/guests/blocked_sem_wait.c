// sem_wait goes on waiting, and wakes when posted after the restart.
// roundtrip: delay=0.4
#include <pthread.h>
#include <semaphore.h>

#include "guest.h"

static volatile int woken;
static sem_t semaphore;

static void* block(void* unused) {
  EXPECT_EQ(sem_wait(&semaphore), 0);
  woken = 1;
  return unused;
}

int main(void) {
  sem_init(&semaphore, 0, 0);
  pthread_t thread;
  pthread_create(&thread, 0, block, 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(woken, 0);
  EXPECT_EQ(sem_post(&semaphore), 0);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(woken, 1);
  return guest_ok();
}
