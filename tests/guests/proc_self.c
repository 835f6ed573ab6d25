// /proc/self is the program's own, and open files of it go on telling about it.
// roundtrip: modes=resume,restart,twice,real
#include "guest.h"

int main(void) {
  char path[64], line[256];
  snprintf(path, sizeof path, "/proc/%d/status", getpid());
  guest_ready();
  guest_wait();
  FILE* status = fopen(path, "r");
  EXPECT(status != 0);
  int pid = 0, threads = 0;
  while (fgets(line, sizeof line, status)) {
    sscanf(line, "Pid: %d", &pid);
    sscanf(line, "Threads: %d", &threads);
  }
  fclose(status);
  EXPECT_EQ(pid, getpid());
  EXPECT_EQ(threads, 1);
  char target[64] = "";
  EXPECT(readlink("/proc/self", target, sizeof target - 1) > 0);
  EXPECT_EQ(atoi(target), getpid());
  return guest_ok();
}
