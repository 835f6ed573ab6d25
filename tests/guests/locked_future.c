// mlockall(MCL_FUTURE): what is mapped after a restart is locked as before, brought in at once or
// (MCL_ONFAULT) when it is touched.
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

enum { kKib = 64, kPage = 4096 };

static long locked_kib(void) {
  static char text[8192];
  int fd = open("/proc/self/status", O_RDONLY);
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  EXPECT(got > 0);
  return atol(strstr(text, "VmLck:") + 6);
}

static void expect_of_new_mapping(int locked, int resident) {
  unsigned char pages[kKib * 1024 / kPage] = {0};
  long before = locked_kib();
  char* area = mmap(0, kKib << 10, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  EXPECT(area != MAP_FAILED);
  EXPECT_EQ(locked_kib() - before, locked ? kKib : 0);
  EXPECT_EQ(mincore(area, kKib << 10, pages), 0);
  EXPECT_EQ(pages[kKib * 1024 / kPage - 1] & 1, resident);
  EXPECT_EQ(munmap(area, kKib << 10), 0);
}

static pid_t start(int flags, int ready) {
  pid_t pid = fork();
  if (pid != 0) return pid;
  EXPECT(flags == 0 || mlockall(flags) == 0);
  EXPECT_EQ(write(ready, "r", 1), 1);
  guest_wait();
  expect_of_new_mapping(flags != 0, flags == MCL_FUTURE);
  EXPECT_EQ(munlockall(), 0);
  expect_of_new_mapping(0, 0);
  _exit(0);
}

int main(void) {
  static const int kFlags[] = {0, MCL_FUTURE, MCL_FUTURE | MCL_ONFAULT};
  pid_t children[3];
  int ends[2];
  char byte;
  if (mlockall(MCL_FUTURE) != 0) guest_skip("mlockall is not allowed (RLIMIT_MEMLOCK)");
  munlockall();
  EXPECT_EQ(pipe(ends), 0);
  for (int i = 0; i < 3; i++) children[i] = start(kFlags[i], ends[1]);
  for (int i = 0; i < 3; i++) EXPECT_EQ(read(ends[0], &byte, 1), 1);
  guest_ready();
  guest_wait();
  for (int i = 0; i < 3; i++) {
    int status;
    EXPECT_EQ(waitpid(children[i], &status, 0), children[i]);
    EXPECT_EQ(status, 0);
  }
  return guest_ok();
}
