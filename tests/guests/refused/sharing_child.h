// A process with a child that shares something with it without being a thread.
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include "../guest.h"

// `shared`: of clone(2).
static int with_sharing_child(unsigned long shared) {
  const pid_t child = (pid_t)syscall(SYS_clone, shared | SIGCHLD, 0, 0, 0, 0);
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
