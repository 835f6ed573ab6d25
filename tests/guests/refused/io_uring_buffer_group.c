// A ring with buffers that the kernel chooses from: nobody can ask where they are.
#include "../guest_ring.h"

int main(void) {
  struct guest_ring ring = ring_open(4, 0);
  static char memory[4096] __attribute__((aligned(4096)));
  struct io_uring_buf_reg group = {
      .ring_addr = (uintptr_t)memory, .ring_entries = 16, .bgid = 60000};
  EXPECT_EQ(
      guest_raw(SYS_io_uring_register, ring.fd, IORING_REGISTER_PBUF_RING, (long)&group, 1, 0, 0),
      0);
  guest_ready();
  guest_wait();
  return guest_ok();
}
