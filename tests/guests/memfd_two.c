// A memfd with seals, mapped by two processes, with one offset; a second one sealed against
// writing.
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

int main(void) {
  int fd = memfd_create("shared", MFD_ALLOW_SEALING),
      sealed = memfd_create("ro", MFD_ALLOW_SEALING);
  EXPECT(fd >= 0 && ftruncate(fd, 8192) == 0 && write(sealed, "constant", 8) == 8);
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  EXPECT_EQ(fcntl(sealed, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL),
            0);
  volatile uint64_t* area = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  EXPECT(area != MAP_FAILED);
  pid_t child = fork();
  if (child == 0) {
    for (uint64_t own = 0; area[0] != (uint64_t)-1; guest_nap(1)) {
      EXPECT_EQ(area[1], own);
      area[1] = ++own;
    }
    EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 100);
    EXPECT_EQ(lseek(fd, 200, SEEK_SET), 200);
    char text[9] = "";
    EXPECT(pread(sealed, text, 8, 0) == 8 && strcmp(text, "constant") == 0);
    _exit(9);
  }
  EXPECT_EQ(lseek(fd, 100, SEEK_SET), 100);
  guest_ready();
  uint64_t steps = 0;
  while (!guest_released()) {
    EXPECT_EQ(area[0], steps);
    area[0] = ++steps;
    guest_nap(1);
  }
  area[0] = (uint64_t)-1;
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 200);
  EXPECT_EQ(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
  EXPECT(ftruncate(fd, 4096) == -1 && errno == EPERM);
  EXPECT_EQ(fcntl(sealed, F_GET_SEALS), F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
  EXPECT(write(sealed, "x", 1) == -1 && errno == EPERM);
  return guest_ok();
}
