// A file that was mapped, shared and privately, and then deleted.
#include <sys/mman.h>

#include "guest.h"

enum { kSize = 8 * 4096 };

int main(void) {
  int fd = guest_file("doomed", "");
  EXPECT_EQ(ftruncate(fd, kSize), 0);
  char* shared = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  guest_fill(shared, kSize, 31);
  char* private = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  char* again = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  private[5000] = 'p';
  unlink("doomed");
  close(fd);
  guest_ready();
  guest_wait();
  EXPECT(guest_filled(shared, kSize, 31));
  EXPECT(guest_filled(private, 4096, 31) && private[5000] == 'p');
  shared[1] = 's';
  EXPECT_EQ(again[1], 's');  // both mappings are still of one file
  EXPECT(access("doomed", F_OK) == -1);
  return guest_ok();
}
