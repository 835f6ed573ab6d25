// Guard pages within a mapping (MADV_GUARD_INSTALL), and a mapping that nothing can change any more
// (mseal).
#include <sys/mman.h>

#include "guest.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#endif
#ifndef SYS_mseal
#define SYS_mseal 462
#endif
enum { kPage = 4096 };

static int readable(const char* address) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const int result = write(ends[1], address, 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return result;
}

int main(void) {
  char* memory = mmap(NULL, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* sealed = mmap(NULL, 2 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT(memory != MAP_FAILED && sealed != MAP_FAILED);
  guest_fill(memory, 4 * kPage, 1);
  guest_fill(sealed, 2 * kPage, 2);
  if (madvise(memory + kPage, kPage, MADV_GUARD_INSTALL) != 0)
    guest_skip("no guard pages in this kernel");
  const int seals = syscall(SYS_mseal, sealed, 2 * kPage, 0) == 0;
  guest_ready();
  guest_wait();
  EXPECT(readable(memory) && !readable(memory + kPage) && readable(memory + 2 * kPage));
  EXPECT(guest_filled(memory, kPage, 1) && guest_filled(sealed, 2 * kPage, 2));
  if (seals) EXPECT(mprotect(sealed, kPage, PROT_READ) == -1 && errno == EPERM);
  EXPECT_EQ(mprotect(memory, kPage, PROT_READ), 0);
  return guest_ok();
}
