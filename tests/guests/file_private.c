// A private mapping of a file: changed pages stay changed, the others are the file's.
#include <sys/mman.h>

#include "guest.h"

enum { kSize = 64 * 4096 };

int main(void) {
  char* expected = malloc(kSize);
  guest_fill(expected, kSize, 1);
  int fd = guest_file("data", "");
  EXPECT_EQ(write(fd, expected, kSize), kSize);
  char* map = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  char* tail = mmap(0, 4096, PROT_READ, MAP_PRIVATE, fd, kSize - 4096);
  close(fd);
  memset(map + 3 * 4096 + 10, 'x', 100);
  memset(expected + 3 * 4096 + 10, 'x', 100);
  EXPECT_EQ(mprotect(map + 3 * 4096, 4096, PROT_READ), 0);
  guest_ready();
  guest_wait();
  EXPECT(memcmp(map, expected, kSize) == 0);
  EXPECT(memcmp(tail, expected + kSize - 4096, 4096) == 0);
  fd = open("data", O_RDONLY);
  char original[4096];
  EXPECT_EQ(pread(fd, original, 4096, 3 * 4096), 4096);
  EXPECT(guest_filled(original, 4096, 1 + 3 * 512));  // nothing leaked into the file
  return guest_ok();
}
