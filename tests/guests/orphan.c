// An orphan: its parent has ended, the supervisor has inherited it, the root does not wait for it.
#include <sys/wait.h>

#include "guest.h"

int main(void) {
  int down[2], up[2];
  EXPECT(pipe(down) == 0 && pipe(up) == 0);
  pid_t child = fork(), root = getpid();
  if (child == 0) {
    pid_t parent = getpid();
    if (fork() != 0) _exit(0);
    while (getppid() == parent) guest_nap(1);
    pid_t self = getpid();
    EXPECT_EQ(write(up[1], &self, sizeof self), sizeof self);
    char byte;
    EXPECT_EQ(read(down[0], &byte, 1), 1);
    EXPECT_EQ(getpid(), self);
    EXPECT(getppid() != parent && getppid() != root);
    EXPECT_EQ(write(up[1], &self, sizeof self), sizeof self);
    _exit(0);
  }
  EXPECT_EQ(waitpid(child, 0, 0), child);
  pid_t before = 0, after = 0;
  EXPECT_EQ(read(up[0], &before, sizeof before), sizeof before);
  guest_ready();
  guest_wait();
  EXPECT(waitpid(-1, 0, WNOHANG) == -1 && errno == ECHILD);
  EXPECT_EQ(write(down[1], "x", 1), 1);
  EXPECT_EQ(read(up[0], &after, sizeof after), sizeof after);
  EXPECT_EQ(after, before);
  return guest_ok();
}
