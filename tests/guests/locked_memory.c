// Locked memory stays locked (VmLck), and mlockall's promise for the future is kept.
#include <sys/mman.h>

#include "guest.h"

static long locked_kib(void) {
  char line[256];
  long kib = -1;
  FILE* status = fopen("/proc/self/status", "r");
  while (fgets(line, sizeof line, status)) sscanf(line, "VmLck: %ld", &kib);
  fclose(status);
  return kib;
}

int main(void) {
  char* area = mmap(0, 64 << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  guest_fill(area, 64 << 10, 2);
  if (mlock(area, 32 << 10) != 0) guest_skip("mlock is not allowed (RLIMIT_MEMLOCK)");
  long before = locked_kib();
  EXPECT(before >= 32);
  guest_ready();
  guest_wait();
  EXPECT(guest_filled(area, 64 << 10, 2));
  EXPECT_EQ(locked_kib(), before);
  EXPECT_EQ(munlock(area, 32 << 10), 0);
  EXPECT_EQ(locked_kib(), before - 32);
  return guest_ok();
}
