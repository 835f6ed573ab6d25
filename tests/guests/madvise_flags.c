// MADV_DONTFORK, DONTDUMP and WIPEONFORK: the content is kept, and the advice holds at a fork.
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

enum { kSize = 4 * 4096 };

static char* advised(int advice, uint64_t seed) {
  char* area = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  guest_fill(area, kSize, seed);
  EXPECT_EQ(madvise(area, kSize, advice), 0);
  return area;
}

int main(void) {
  char* dontfork = advised(MADV_DONTFORK, 1);
  char* apart = mmap(0, kSize, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  char* wipe = advised(MADV_WIPEONFORK, 2);
  char* dontdump = advised(MADV_DONTDUMP, 3);
  guest_ready();
  guest_wait();
  EXPECT(apart != MAP_FAILED);
  EXPECT(guest_filled(dontfork, kSize, 1));
  EXPECT(guest_filled(wipe, kSize, 2));
  EXPECT(guest_filled(dontdump, kSize, 3));
  pid_t child = fork();
  if (child == 0) {
    int gone = msync(dontfork, kSize, MS_ASYNC) == -1 && errno == ENOMEM;
    int wiped = wipe[0] == 0 && wipe[8] == 0 && wipe[kSize - 1] == 0;
    _exit(gone | wiped << 1);
  }
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 3);
  char line[1024];
  int found = 0;
  FILE* smaps = fopen("/proc/self/smaps", "r");
  while (fgets(line, sizeof line, smaps))
    if (strncmp(line, "VmFlags:", 8) == 0) {
      found |= strstr(line, " dd") != 0;
      found |= (strstr(line, " dc") != 0) << 1;
      found |= (strstr(line, " wf") != 0) << 2;
    }
  EXPECT_EQ(found, 7);
  return guest_ok();
}
