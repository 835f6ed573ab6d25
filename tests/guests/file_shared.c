// A shared mapping of a file: it is still the file, in both directions.
#include <sys/mman.h>

#include "guest.h"

enum { kSize = 16 * 4096 };

int main(void) {
  int fd = guest_file("data", "");
  EXPECT_EQ(ftruncate(fd, kSize), 0);
  char* map = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  char* view = mmap(0, 4096, PROT_READ, MAP_SHARED, fd, 4096);
  guest_fill(map, kSize, 21);
  close(fd);
  guest_ready();
  guest_wait();
  EXPECT(guest_filled(map, kSize, 21));
  map[4096] = 'A';
  EXPECT_EQ(view[0], 'A');
  fd = open("data", O_RDWR);
  char byte;
  EXPECT(pread(fd, &byte, 1, 4096) == 1 && byte == 'A');
  EXPECT_EQ(pwrite(fd, "B", 1, 4097), 1);
  EXPECT_EQ(map[4097], 'B');
  EXPECT_EQ(map[4097], view[1]);
  return guest_ok();
}
