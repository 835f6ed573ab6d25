// Memory with MADV_HUGEPAGE and MADV_NOHUGEPAGE: contents and advice stay.
#include <sys/mman.h>

#include "guest.h"

enum { kSize = 16 << 20 };

// Whether the mapping that begins at `address` has this two-letter flag in smaps.
static int has_flag(void* address, const char* flag) {
  char line[1024], start[32];
  snprintf(start, sizeof start, "%lx-", (unsigned long)address);
  FILE* smaps = fopen("/proc/self/smaps", "r");
  int inside = 0, found = 0;
  while (fgets(line, sizeof line, smaps)) {
    if (strchr(line, '-') && strspn(line, "0123456789abcdef") == strcspn(line, "-"))
      inside = strncmp(line, start, strlen(start)) == 0;
    if (inside && strncmp(line, "VmFlags:", 8) == 0) found = strstr(line, flag) != 0;
  }
  fclose(smaps);
  return found;
}

int main(void) {
  char* wide = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* huge = (char*)(((uintptr_t)wide + (4 << 20) - 1) & ~(uintptr_t)((4 << 20) - 1));
  if (madvise(huge, 4 << 20, MADV_HUGEPAGE) != 0) guest_skip("no transparent huge pages");
  EXPECT_EQ(madvise(huge + (4 << 20), 4 << 20, MADV_NOHUGEPAGE), 0);
  guest_fill(huge, 8 << 20, 5);
  EXPECT(has_flag(huge, " hg") && has_flag(huge + (4 << 20), " nh"));
  guest_ready();
  guest_wait();
  EXPECT(guest_filled(huge, 8 << 20, 5));
  EXPECT(has_flag(huge, " hg"));
  EXPECT(has_flag(huge + (4 << 20), " nh"));
  return guest_ok();
}
