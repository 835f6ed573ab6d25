// Holds an io_uring, which cannot be checkpointed: ckpt must refuse by name and leave it alone.
#include <linux/io_uring.h>

#include "../guest.h"

int main(void) {
  struct io_uring_params parameters;
  memset(&parameters, 0, sizeof parameters);
  if (syscall(SYS_io_uring_setup, 4, &parameters) < 0) guest_skip("no io_uring on this machine");
  guest_ready();
  guest_wait();
  return guest_ok();
}
