// Has its system calls dispatched: ckpt must refuse by name and
// leave it alone.
#include <sys/prctl.h>

#include "../guest.h"

int main(void) {
  static char selector;
  if (prctl(59 /* PR_SET_SYSCALL_USER_DISPATCH */, 1, 0, 0, &selector) != 0)
    guest_skip("no dispatch of system calls in this kernel");
  guest_ready();
  guest_wait();
  return guest_ok();
}
