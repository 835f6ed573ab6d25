// Open-file-description locks belong to the description again, not to the process.
#include "guest.h"

int main(void) {
  int fd = guest_file("data", "0123456789");
  int other = open("data", O_RDWR);
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 2, .l_len = 3};
  EXPECT_EQ(fcntl(fd, F_OFD_SETLK, &lock), 0);
  guest_ready();
  guest_wait();
  struct flock probe = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 3, .l_len = 1};
  EXPECT(fcntl(other, F_OFD_SETLK, &probe) == -1 && errno == EAGAIN);
  EXPECT_EQ(fcntl(fd, F_OFD_SETLK, &probe), 0);
  probe.l_start = 6;
  EXPECT_EQ(fcntl(other, F_OFD_SETLK, &probe), 0);
  close(fd);
  probe.l_start = 2;
  EXPECT_EQ(fcntl(other, F_OFD_SETLK, &probe), 0);
  return guest_ok();
}
