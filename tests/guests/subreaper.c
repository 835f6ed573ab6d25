// A child subreaper still adopts orphans after the restart.
#include <sys/prctl.h>
#include <sys/wait.h>

#include "guest.h"

int main(void) {
  int set = 0;
  EXPECT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(prctl(PR_GET_CHILD_SUBREAPER, &set), 0);
  EXPECT_EQ(set, 1);
  pid_t child = fork();
  if (child == 0) {
    if (fork() == 0) {
      while (getppid() != (pid_t)guest_raw(SYS_getppid, 0, 0, 0, 0, 0, 0)) guest_nap(1);
      guest_nap(50);
      _exit(23);
    }
    _exit(0);
  }
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT(waitpid(-1, &status, 0) > 0);  // the orphan is ours now
  EXPECT_EQ(WEXITSTATUS(status), 23);
  return guest_ok();
}
