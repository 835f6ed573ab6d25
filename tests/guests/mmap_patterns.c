// Anonymous mappings of every protection, with pages touched, untouched and given back.
#include <sys/mman.h>

#include "guest.h"

enum { kSize = 8 << 20, kHole = 2 << 20 };

int main(void) {
  char* area = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT(area != MAP_FAILED);
  guest_fill(area, kSize, 1);
  EXPECT_EQ(munmap(area + kHole, 4096), 0);
  EXPECT_EQ(madvise(area + 2 * kHole, 1 << 20, MADV_DONTNEED), 0);
  EXPECT_EQ(mprotect(area + 3 * kHole, 4096, PROT_READ), 0);
  EXPECT_EQ(mprotect(area + 3 * kHole + 8192, 4096, PROT_NONE), 0);
  char* sparse = mmap(0, 1 << 30, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (size_t at = 0; at < 1 << 30; at += 16 << 20) sparse[at] = (char)(at >> 24);
  volatile char seen = sparse[4096];  // a page that was only read
  guest_ready();
  guest_wait();
  EXPECT(guest_filled(area, kHole, 1));
  EXPECT(msync(area + kHole, 4096, MS_ASYNC) == -1 && errno == ENOMEM);
  for (int i = 0; i < 1 << 20; i++) EXPECT(area[2 * kHole + i] == 0);
  EXPECT(guest_filled(area + 3 * kHole, 4096, 1 + 3 * kHole / 8));
  EXPECT_EQ(mprotect(area + 3 * kHole + 8192, 4096, PROT_READ | PROT_WRITE), 0);
  EXPECT(guest_filled(area + 3 * kHole + 8192, 4096, 1 + (3 * kHole + 8192) / 8));
  for (size_t at = 0; at < 1 << 30; at += 16 << 20) EXPECT(sparse[at] == (char)(at >> 24));
  EXPECT(sparse[8192] == 0 && seen == 0);
  return guest_ok();
}
