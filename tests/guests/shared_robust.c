// A robust mutex in shared memory: its owner, another process, ends after the restart.
// roundtrip: modes=resume,restart,twice,real
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

static struct {
  pthread_mutex_t mutex, taken_later;
  volatile int locked;
} * shared;

static void init(pthread_mutex_t* mutex) {
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
  pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
  EXPECT_EQ(pthread_mutex_init(mutex, &attributes), 0);
}

static void* lock_and_stay(void* unused) {
  (void)unused;
  EXPECT_EQ(pthread_mutex_lock(&shared->mutex), 0);
  shared->locked = 1;
  for (;;) pause();
}

int main(void) {
  shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  init(&shared->mutex);
  init(&shared->taken_later);
  pid_t child = fork();
  if (child == 0) {
    pthread_t thread;
    EXPECT_EQ(pthread_create(&thread, 0, lock_and_stay, 0), 0);
    guest_wait();
    EXPECT_EQ(pthread_mutex_lock(&shared->taken_later), 0);
    guest_nap(50);
    _exit(0);
  }
  while (!shared->locked) guest_nap(1);
  guest_ready();
  EXPECT_EQ(pthread_mutex_lock(&shared->mutex), EOWNERDEAD);  // waits through the checkpoint
  EXPECT(guest_released());
  EXPECT_EQ(waitpid(child, 0, 0), child);
  EXPECT_EQ(pthread_mutex_lock(&shared->taken_later), EOWNERDEAD);
  EXPECT_EQ(pthread_mutex_consistent(&shared->mutex), 0);
  EXPECT_EQ(pthread_mutex_unlock(&shared->mutex), 0);
  EXPECT_EQ(pthread_mutex_lock(&shared->mutex), 0);
  return guest_ok();
}
