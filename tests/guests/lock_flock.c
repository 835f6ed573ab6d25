// flock locks, shared and exclusive.
#include <sys/file.h>

#include "guest.h"

int main(void) {
  int shared = guest_file("shared", ""), exclusive = guest_file("exclusive", "");
  EXPECT_EQ(flock(shared, LOCK_SH), 0);
  EXPECT_EQ(flock(exclusive, LOCK_EX), 0);
  guest_ready();
  guest_wait();
  int other_shared = open("shared", O_RDWR), other_exclusive = open("exclusive", O_RDWR);
  EXPECT(flock(other_shared, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
  EXPECT_EQ(flock(other_shared, LOCK_SH | LOCK_NB), 0);
  EXPECT(flock(other_exclusive, LOCK_SH | LOCK_NB) == -1 && errno == EWOULDBLOCK);
  EXPECT_EQ(flock(exclusive, LOCK_UN), 0);
  EXPECT_EQ(flock(other_exclusive, LOCK_EX | LOCK_NB), 0);
  return guest_ok();
}
