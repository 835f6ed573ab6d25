// Descriptors made by dup share one offset; two opens of one file do not.
#include "guest.h"

int main(void) {
  int first = guest_file("data", "abcdefghij");
  int second = dup(first), third = fcntl(first, F_DUPFD_CLOEXEC, 40);
  int apart = open("data", O_RDWR);
  EXPECT_EQ(lseek(first, 2, SEEK_SET), 2);
  EXPECT_EQ(lseek(apart, 5, SEEK_SET), 5);
  guest_ready();
  guest_wait();
  char byte;
  EXPECT(read(second, &byte, 1) == 1 && byte == 'c');
  EXPECT(read(third, &byte, 1) == 1 && byte == 'd');
  EXPECT(read(first, &byte, 1) == 1 && byte == 'e');
  EXPECT(read(apart, &byte, 1) == 1 && byte == 'f');
  EXPECT_EQ(fcntl(second, F_SETFL, O_APPEND), 0);
  EXPECT(fcntl(third, F_GETFL) & O_APPEND);
  EXPECT(!(fcntl(apart, F_GETFL) & O_APPEND));
  EXPECT_EQ(fcntl(third, F_GETFD), FD_CLOEXEC);
  EXPECT_EQ(fcntl(second, F_GETFD), 0);
  return guest_ok();
}
