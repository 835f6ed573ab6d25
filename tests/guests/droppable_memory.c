// MAP_DROPPABLE (Linux 6.11), as libc maps it for random numbers: its pages may become zero at any
// time, and two lives of one image must not draw the same numbers from them. The kind of the
// memory stays.
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

#ifndef MAP_DROPPABLE
#define MAP_DROPPABLE 0x08
#endif
enum { kSize = 4 * 4096 };

static int is_zero(const char* memory) {
  for (int i = 0; i < kSize; i++)
    if (memory[i] != 0) return 0;
  return 1;
}

static int droppable_bytes(void) {
  char line[1024];
  unsigned long begin = 0, end = 0, next_begin, next_end;
  int bytes = 0;
  FILE* smaps = fopen("/proc/self/smaps", "r");
  EXPECT(smaps != NULL);
  while (fgets(line, sizeof line, smaps)) {
    if (sscanf(line, "%lx-%lx ", &next_begin, &next_end) == 2) begin = next_begin, end = next_end;
    if (strncmp(line, "VmFlags:", 8) == 0 && strstr(line, " dp")) bytes += (int)(end - begin);
  }
  fclose(smaps);
  return bytes;
}

int main(void) {
  char* memory = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_DROPPABLE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) guest_skip("no droppable memory in this kernel");
  guest_fill(memory, kSize, 1);
  int bytes = droppable_bytes();
  EXPECT(bytes >= kSize);
  guest_ready();
  guest_wait();
  EXPECT_EQ(droppable_bytes(), bytes);
  EXPECT(is_zero(memory) || guest_filled(memory, kSize, 1));
  guest_fill(memory, kSize, 2);
  pid_t child = fork();
  if (child == 0) _exit(is_zero(memory) ? 3 : 4);
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 3);
  return guest_ok();
}
