// An unlinked file that is still open, with content and offset, through two descriptions.
#include "guest.h"

int main(void) {
  int fd = guest_file("temporary", "");
  char* data = malloc(1 << 20);
  guest_fill(data, 1 << 20, 61);
  EXPECT_EQ(write(fd, data, 1 << 20), 1 << 20);
  int second = open("temporary", O_RDONLY);
  EXPECT_EQ(lseek(second, 4096, SEEK_SET), 4096);
  EXPECT_EQ(fchmod(fd, 0640), 0);
  unlink("temporary");
  memset(data, 0, 1 << 20);
  guest_ready();
  guest_wait();
  struct stat about;
  EXPECT_EQ(fstat(fd, &about), 0);
  EXPECT_EQ(about.st_nlink, 0);
  EXPECT_EQ(about.st_size, 1 << 20);
  EXPECT_EQ(about.st_mode & 07777, 0640);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 1 << 20);
  EXPECT_EQ(read(second, data, 8192), 8192);
  EXPECT(guest_filled(data, 8192, 61 + 512));
  EXPECT_EQ(pread(fd, data, 1 << 20, 0), 1 << 20);
  EXPECT(guest_filled(data, 1 << 20, 61));
  EXPECT_EQ(pwrite(fd, "W", 1, 4096 + 8192), 1);  // both are of the same file
  EXPECT_EQ(read(second, data, 1), 1);
  EXPECT_EQ(data[0], 'W');
  EXPECT(access("temporary", F_OK) == -1);
  return guest_ok();
}
