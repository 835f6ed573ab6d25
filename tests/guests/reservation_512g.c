// Reserved address space that nobody touched costs nothing: 512 GiB, two ways.
#include <sys/mman.h>

#include "guest.h"

int main(void) {
  size_t size = (size_t)512 << 30;
  char* none = mmap(0, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  char* lazy =
      mmap(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (none == MAP_FAILED || lazy == MAP_FAILED) guest_skip("cannot reserve 1 TiB here");
  size_t places[] = {0, (size_t)100 << 30, size - 4096};
  for (int i = 0; i < 3; i++) lazy[places[i]] = (char)(i + 1);
  EXPECT_EQ(mprotect(none + ((size_t)300 << 30), 4096, PROT_READ | PROT_WRITE), 0);
  none[(size_t)300 << 30] = 'n';
  guest_ready();
  guest_wait();
  for (int i = 0; i < 3; i++) EXPECT_EQ(lazy[places[i]], i + 1);
  EXPECT_EQ(none[(size_t)300 << 30], 'n');
  EXPECT_EQ(mprotect(none, 1 << 20, PROT_READ | PROT_WRITE), 0);
  none[12345] = 1;
  EXPECT_EQ(munmap(none, size), 0);
  return guest_ok();
}
