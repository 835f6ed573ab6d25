// Every resource limit, soft and hard.
#include <sys/resource.h>

#include "guest.h"

int main(void) {
  struct rlimit before[RLIM_NLIMITS], after;
  struct rlimit files = {200, 300}, core = {0, 0}, data = {(rlim_t)8 << 30, RLIM_INFINITY};
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &files), 0);
  EXPECT_EQ(setrlimit(RLIMIT_CORE, &core), 0);
  getrlimit(RLIMIT_DATA, &after);
  if (after.rlim_max == RLIM_INFINITY) EXPECT_EQ(setrlimit(RLIMIT_DATA, &data), 0);
  int high = fcntl(0, F_DUPFD, 150);
  struct rlimit low = {100, 300};
  EXPECT_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);  // below an open descriptor
  for (int i = 0; i < (int)RLIM_NLIMITS; i++) getrlimit(i, &before[i]);
  guest_ready();
  guest_wait();
  for (int i = 0; i < (int)RLIM_NLIMITS; i++) {
    EXPECT_EQ(getrlimit(i, &after), 0);
    if (after.rlim_cur != before[i].rlim_cur || after.rlim_max != before[i].rlim_max)
      guest_fail("limit %d is %lu/%lu, expected %lu/%lu", i, after.rlim_cur, after.rlim_max,
                 before[i].rlim_cur, before[i].rlim_max);
  }
  EXPECT(fcntl(high, F_GETFD) >= 0);
  return guest_ok();
}
