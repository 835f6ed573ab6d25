// A ring with a file registered that the program has opened a second time, and the first descriptor
// closed: the kernel only tells the name, which both have.
#include "../guest_ring.h"

int main(void) {
  struct guest_ring ring = ring_open(4, 0);
  int file = guest_file("registered_file", "");
  EXPECT_EQ(guest_raw(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, (long)&file, 1, 0, 0),
            0);
  close(file);
  EXPECT(open("registered_file", O_RDONLY) >= 0);
  guest_ready();
  guest_wait();
  return guest_ok();
}
