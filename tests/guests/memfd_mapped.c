// A memfd, mapped and open: contents, offset, name and sharing stay.
#include <sys/mman.h>

#include "guest.h"

enum { kSize = 16 * 4096 };

int main(void) {
  int fd = memfd_create("guest memory", MFD_CLOEXEC);
  EXPECT_EQ(ftruncate(fd, kSize), 0);
  char* map = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  guest_fill(map, kSize, 41);
  EXPECT_EQ(lseek(fd, 12345, SEEK_SET), 12345);
  guest_ready();
  guest_wait();
  EXPECT(guest_filled(map, kSize, 41));
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 12345);
  EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(pwrite(fd, "Z", 1, 9), 1);
  EXPECT_EQ(map[9], 'Z');
  EXPECT_EQ(lseek(fd, 0, SEEK_END), kSize);
  char link[64] = "", path[40];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  EXPECT(readlink(path, link, sizeof link - 1) > 0);
  EXPECT(strstr(link, "guest memory") != 0);
  return guest_ok();
}
