// A job that makes and removes shared memory all the time: what the checkpoint knew is gone when
// the job is restarted, and is made again under its name. roundtrip: state=no
#include <sys/mman.h>

#include "guest.h"

enum { kNames = 8, kBytes = 3 * 4096 };
static char names[kNames][64];

int main(void) {
  for (int i = 0; i < kNames; i++)
    snprintf(names[i], sizeof names[i], "/ckrun-guest-%d-%d", getpid(), i);
  guest_ready();
  uint64_t round = 1;
  char* before = 0;
  int fd_before = -1;
  for (; !guest_released(); round++) {
    const char* name = names[round % kNames];
    shm_unlink(name);  // of a life that ran past its checkpoint
    int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
    EXPECT(fd >= 0 && ftruncate(fd, kBytes) == 0);
    char* area = mmap(0, kBytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EXPECT(area != MAP_FAILED);
    guest_fill(area + 4096, 4096, round);
    if (before) {
      EXPECT(guest_filled(before + 4096, 4096, round - 1));
      struct stat mine, named;
      EXPECT(fstat(fd_before, &mine) == 0);
      int found = shm_open(names[(round - 1) % kNames], O_RDONLY, 0);
      EXPECT(found >= 0 && fstat(found, &named) == 0);
      EXPECT_EQ(mine.st_ino, named.st_ino);
      EXPECT(munmap(before, kBytes) == 0 && close(fd_before) == 0 && close(found) == 0);
      EXPECT_EQ(shm_unlink(names[(round - 1) % kNames]), 0);
    }
    before = area;
    fd_before = fd;
    guest_nap(1);
  }
  for (int i = 0; i < kNames; i++) shm_unlink(names[i]);
  return guest_ok();
}
