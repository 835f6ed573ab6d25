// __poll_chk and __ppoll_chk, which poll and ppoll become in a program built with _FORTIFY_SOURCE.
// roundtrip: delay=2
#include <poll.h>
#include <pthread.h>
#include <signal.h>

#include "guest.h"

int __poll_chk(struct pollfd* fds, nfds_t count, int timeout, size_t size);
int __ppoll_chk(struct pollfd* fds, nfds_t count, const struct timespec* timeout,
                const sigset_t* mask, size_t size);

static int ends[2];

static void* run(void* unused) {
  struct pollfd wait = {ends[0], POLLIN, 0};
  struct timespec time = {GUEST_BLOCK_SECONDS, 0};
  double start = guest_now();
  EXPECT_EQ(__ppoll_chk(&wait, 1, &time, 0, sizeof wait), 0);
  guest_expect_elapsed(start);
  return unused;
}

int main(void) {
  EXPECT_EQ(pipe(ends), 0);
  pthread_t thread;
  EXPECT_EQ(pthread_create(&thread, 0, run, 0), 0);
  struct pollfd wait = {ends[0], POLLIN, 0};
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(__poll_chk(&wait, 1, GUEST_BLOCK_SECONDS * 1000, sizeof wait), 0);
  guest_expect_elapsed(start);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  return guest_ok();
}
