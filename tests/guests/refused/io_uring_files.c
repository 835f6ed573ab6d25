// A ring with a file registered: the kernel does not tell which open file it is.
#include "../guest_ring.h"

int main(void) {
  struct guest_ring ring = ring_open(4, 0);
  int file = guest_file("registered_file", "");
  EXPECT_EQ(guest_raw(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, (long)&file, 1, 0, 0),
            0);
  guest_ready();
  guest_wait();
  return guest_ok();
}
