// A child that shares its parent's working directory without being a thread: ckpt must refuse by
// name and leave it alone.
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "../guest.h"

int main(void) {
  const pid_t child = (pid_t)syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, 0, 0, 0);
  if (child == 0) {
    guest_wait();
    _exit(0);
  }
  EXPECT(child > 0);
  guest_ready();
  int status = -1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return guest_ok();
}
