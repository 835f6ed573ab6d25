// A thread that waits for a lock (F_OFD_SETLKW, flock) gets it once it is free, not before.
// roundtrip: delay=0.4
#include <pthread.h>
#include <sys/file.h>

#include "guest.h"

static volatile int got_flock, got_ofd;

static void* want_flock(void* unused) {
  EXPECT_EQ(flock(open("data", O_RDWR), LOCK_EX), 0);
  got_flock = 1;
  return unused;
}
static void* want_ofd(void* unused) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
  EXPECT_EQ(fcntl(open("data", O_RDWR), F_OFD_SETLKW, &lock), 0);
  got_ofd = 1;
  return unused;
}

int main(void) {
  int fd = guest_file("data", "x");
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 1};
  EXPECT_EQ(flock(fd, LOCK_EX), 0);
  EXPECT_EQ(fcntl(fd, F_OFD_SETLK, &lock), 0);
  pthread_t threads[2];
  pthread_create(&threads[0], 0, want_flock, 0);
  pthread_create(&threads[1], 0, want_ofd, 0);
  guest_nap(30);
  guest_ready();
  guest_wait();
  EXPECT(!got_flock && !got_ofd);
  close(fd);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
  EXPECT(got_flock && got_ofd);
  return guest_ok();
}
