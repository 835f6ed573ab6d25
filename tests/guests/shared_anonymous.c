// Shared anonymous memory keeps its content and is still shared with a child made afterwards.
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

int main(void) {
  size_t size = 64 * 4096;
  char* area = mmap(0, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  guest_fill(area, size / 2, 51);
  char* alias = mremap(area, 0, 4096, MREMAP_MAYMOVE);  // a second mapping of the same pages
  EXPECT(alias != MAP_FAILED);
  guest_ready();
  guest_wait();
  EXPECT(guest_filled(area, size / 2, 51));
  EXPECT(area[size - 1] == 0);
  area[7] = 'a';
  EXPECT_EQ(alias[7], 'a');
  pid_t child = fork();
  if (child == 0) {
    area[100] = 'c';
    _exit(0);
  }
  EXPECT_EQ(waitpid(child, 0, 0), child);
  EXPECT_EQ(area[100], 'c');
  return guest_ok();
}
