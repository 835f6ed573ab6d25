// A sealed memfd keeps content and seals.
#include <sys/mman.h>

#include "guest.h"

int main(void) {
  int fd = memfd_create("sealed", MFD_ALLOW_SEALING);
  EXPECT_EQ(write(fd, "for good", 8), 8);
  int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, seals), 0);
  guest_ready();
  guest_wait();
  char text[9] = "";
  EXPECT_EQ(pread(fd, text, 8, 0), 8);
  EXPECT(strcmp(text, "for good") == 0);
  EXPECT_EQ(fcntl(fd, F_GET_SEALS), seals);
  EXPECT(pwrite(fd, "x", 1, 0) == -1 && errno == EPERM);
  EXPECT(ftruncate(fd, 100) == -1 && errno == EPERM);
  return guest_ok();
}
