// A parent whose vfork child neither runs a program nor exits before the guest is released: no
// checkpoint is possible meanwhile (tests/fault/phases.py).
#include <sys/wait.h>

#include "../guest.h"

int main(void) {
  int status;
  guest_ready();
  pid_t child = vfork();
  if (child == 0) {
    guest_wait();
    _exit(3);
  }
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 3);
  return guest_ok();
}
