// Is in namespaces that it has made: ckpt must refuse by name and leave it alone.
#include <sched.h>

#include "../guest.h"

int main(void) {
  if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) guest_skip("no user namespaces here");
  guest_ready();
  guest_wait();
  return guest_ok();
}
