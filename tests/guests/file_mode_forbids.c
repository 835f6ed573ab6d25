// A file that is open for writing, and whose mode does not allow that (any more).
#include <sys/stat.h>

#include "guest.h"

static void expect_mode(int fd, mode_t mode) {
  struct stat about;
  EXPECT_EQ(fstat(fd, &about), 0);
  EXPECT_EQ(about.st_mode & 07777, mode);
}

int main(void) {
  int made = open("made", O_CREAT | O_EXCL | O_RDWR, 0444);
  int changed = open("changed", O_CREAT | O_EXCL | O_RDWR, 0600);
  EXPECT(made >= 0 && changed >= 0);
  EXPECT_EQ(fchmod(changed, 0), 0);
  EXPECT_EQ(write(made, "x", 1), 1);
  guest_ready();
  guest_wait();
  EXPECT_EQ(write(made, "y", 1), 1);
  EXPECT_EQ(write(changed, "z", 1), 1);
  expect_mode(made, 0444);
  expect_mode(changed, 0);
  return guest_ok();
}
