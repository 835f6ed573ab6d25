// timerfd: what remains, interval, clock, expirations that were not yet read, absolute ones.
// roundtrip: delay=1
#include <poll.h>
#include <sys/timerfd.h>

#include "guest.h"

int main(void) {
  int once = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
  int ticking = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK);
  int expired = timerfd_create(CLOCK_REALTIME, 0);
  int absolute = timerfd_create(CLOCK_MONOTONIC, 0);
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  double start = guest_now();
  struct itimerspec later = {{0, 0}, {3, 0}}, tick = {{0, 100000000}, {0, 100000000}};
  struct itimerspec soon = {{0, 0}, {0, 1000}}, at = {{0, 0}, {now.tv_sec + 3, now.tv_nsec}}, seen;
  EXPECT_EQ(timerfd_settime(once, 0, &later, 0), 0);
  EXPECT_EQ(timerfd_settime(ticking, 0, &tick, 0), 0);
  EXPECT_EQ(timerfd_settime(expired, 0, &soon, 0), 0);
  EXPECT_EQ(timerfd_settime(absolute, TFD_TIMER_ABSTIME, &at, 0), 0);
  guest_nap(10);
  guest_ready();
  uint64_t count = 0;
  EXPECT_EQ(read(once, &count, 8), 8);
  guest_expect_elapsed_at(__LINE__, start, 3);
  EXPECT_EQ(read(absolute, &count, 8), 8);
  guest_expect_elapsed_at(__LINE__, start, 3);
  struct pollfd wait = {expired, POLLIN, 0};
  EXPECT_EQ(poll(&wait, 1, 0), 1);
  EXPECT_EQ(read(expired, &count, 8), 8);
  EXPECT_EQ(count, 1);
  EXPECT_EQ(timerfd_gettime(ticking, &seen), 0);
  EXPECT_EQ(seen.it_interval.tv_nsec, 100000000);
  EXPECT_EQ(fcntl(ticking, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
  EXPECT_EQ(fcntl(once, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(read(ticking, &count, 8), 8);
  double elapsed = guest_now() - start;
  EXPECT((double)count <= elapsed * 10 + 1 && (double)count >= elapsed * 4);
  return guest_ok();
}
