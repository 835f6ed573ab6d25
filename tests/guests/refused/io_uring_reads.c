// A ring with a read from a pipe in flight, which ends when the file "write" appears in the working
// directory: no checkpoint is possible before.
#include "../guest_ring.h"

int main(void) {
  struct guest_ring ring = ring_open(4, 0);
  int ends[2];
  EXPECT(pipe(ends) == 0);
  ring_work(&ring, 10);
  char byte = 0;
  struct io_uring_sqe* request = ring_request(&ring, IORING_OP_READ, 11);
  request->fd = ends[0];
  request->addr = (uintptr_t)&byte;
  request->len = 1;
  ring_submit(&ring);
  guest_ready();
  for (int written = 0; !guest_released(); guest_nap(5))
    if (!written && access("write", F_OK) == 0) written = write(ends[1], "x", 1) == 1;
  struct guest_completion completion = ring_completion(&ring);
  EXPECT_EQ(completion.user_data, 11);
  EXPECT_EQ(completion.res, 1);
  EXPECT(byte == 'x');
  ring_check(&ring, 11, 11);
  return guest_ok();
}
