// A ring with an eventfd registered: the kernel does not tell which, so ckpt must refuse it.
#include <sys/eventfd.h>

#include "../guest_ring.h"

int main(void) {
  struct guest_ring ring = ring_open(4, 0);
  int counter = eventfd(0, 0);
  EXPECT_EQ(
      guest_raw(SYS_io_uring_register, ring.fd, IORING_REGISTER_EVENTFD, (long)&counter, 1, 0, 0),
      0);
  guest_ready();
  guest_wait();
  return guest_ok();
}
