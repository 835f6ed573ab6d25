// A chain of thirty generations; the last one's word goes back through all of them.
#include <sys/wait.h>

#include "guest.h"

enum { kGenerations = 30 };

int main(void) {
  pid_t above = 0;
  int generation = 0, up[2], status;
  EXPECT_EQ(pipe(up), 0);
  while (generation < kGenerations) {
    pid_t self = getpid(), child = fork();
    EXPECT(child >= 0);
    if (child != 0) {
      if (generation == 0) {
        char byte;
        EXPECT_EQ(read(up[0], &byte, 1), 1);
        guest_ready();
      }
      EXPECT_EQ(waitpid(child, &status, 0), child);
      EXPECT_EQ(WEXITSTATUS(status), generation + 1);
      if (generation == 0) return guest_ok();
      EXPECT_EQ(getppid(), above);
      _exit(generation);
    }
    above = self;
    generation++;
  }
  EXPECT_EQ(write(up[1], "x", 1), 1);
  guest_wait();
  EXPECT_EQ(getppid(), above);
  _exit(generation);
}
