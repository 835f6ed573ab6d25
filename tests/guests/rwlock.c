// Read-write locks held over the checkpoint, one for reading, one for writing, with waiters.
#include <pthread.h>

#include "guest.h"

static pthread_rwlock_t read_lock = PTHREAD_RWLOCK_INITIALIZER;
static pthread_rwlock_t write_lock = PTHREAD_RWLOCK_INITIALIZER;
static volatile int got_write, got_read;

static void* writer(void* unused) {
  EXPECT_EQ(pthread_rwlock_wrlock(&read_lock), 0);
  got_write = 1;
  EXPECT_EQ(pthread_rwlock_unlock(&read_lock), 0);
  return unused;
}
static void* reader(void* unused) {
  EXPECT_EQ(pthread_rwlock_rdlock(&write_lock), 0);
  got_read = 1;
  EXPECT_EQ(pthread_rwlock_unlock(&write_lock), 0);
  return unused;
}

int main(void) {
  EXPECT_EQ(pthread_rwlock_rdlock(&read_lock), 0);
  EXPECT_EQ(pthread_rwlock_wrlock(&write_lock), 0);
  pthread_t threads[2];
  pthread_create(&threads[0], 0, writer, 0);
  pthread_create(&threads[1], 0, reader, 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT(!got_write && !got_read);
  EXPECT_EQ(pthread_rwlock_rdlock(&write_lock), EDEADLK);
  EXPECT_EQ(pthread_rwlock_unlock(&read_lock), 0);
  EXPECT_EQ(pthread_rwlock_unlock(&write_lock), 0);
  for (int i = 0; i < 2; i++) EXPECT_EQ(pthread_join(threads[i], 0), 0);
  EXPECT(got_write && got_read);
  return guest_ok();
}
