// Processes at work with a mutex, a condition variable and a semaphore in shared memory.
// roundtrip: delay=0.4
#include <pthread.h>
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

enum { kWorkers = 3 };
static struct {
  pthread_mutex_t mutex;
  pthread_cond_t turn_changed;
  sem_t done;
  volatile int turn, ending;
  volatile long rounds[kWorkers + 1], total;
} * shared;

static void work(int self) {
  pthread_mutex_lock(&shared->mutex);
  while (!shared->ending) {
    while (shared->turn != self && !shared->ending)
      pthread_cond_wait(&shared->turn_changed, &shared->mutex);
    if (shared->ending) break;
    shared->rounds[self]++;
    shared->total++;
    shared->turn = (self + 1) % (kWorkers + 1);
    pthread_cond_broadcast(&shared->turn_changed);
  }
  pthread_mutex_unlock(&shared->mutex);
  sem_post(&shared->done);
}

int main(void) {
  pthread_mutexattr_t mutex;
  pthread_condattr_t condition;
  shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  pthread_mutexattr_init(&mutex);
  pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
  pthread_mutex_init(&shared->mutex, &mutex);
  pthread_condattr_init(&condition);
  pthread_condattr_setpshared(&condition, PTHREAD_PROCESS_SHARED);
  pthread_cond_init(&shared->turn_changed, &condition);
  sem_init(&shared->done, 1, 0);
  for (int i = 0; i < kWorkers; i++) {
    if (fork() != 0) continue;
    work(i);
    _exit(i);
  }
  guest_ready();
  pthread_mutex_lock(&shared->mutex);
  while (!guest_released()) {
    while (shared->turn != kWorkers) pthread_cond_wait(&shared->turn_changed, &shared->mutex);
    shared->rounds[kWorkers]++;
    shared->total++;
    shared->turn = 0;
    pthread_cond_broadcast(&shared->turn_changed);
  }
  shared->ending = 1;
  pthread_cond_broadcast(&shared->turn_changed);
  pthread_mutex_unlock(&shared->mutex);
  long sum = 0;
  for (int i = 0; i < kWorkers; i++) EXPECT_EQ(sem_wait(&shared->done), 0);
  for (int i = 0; i <= kWorkers; i++) {
    long behind = shared->rounds[0] - shared->rounds[i];
    EXPECT(behind == 0 || behind == 1);
    sum += shared->rounds[i];
  }
  EXPECT_EQ(sum, shared->total);
  for (int i = 0; i < kWorkers; i++) EXPECT(wait(0) > 0);
  return guest_ok();
}
