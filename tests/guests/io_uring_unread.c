// Completions that the program has not taken yet, and requests that it has not submitted yet: some
// behind the ring's tail already, some not even that.
#include "guest_ring.h"

int main(void) {
  struct guest_ring ring = ring_open(8, 0);
  ring_work(&ring, 1003);
  int file = guest_file("file", "0123456789");
  char before[4] = "", after[4] = "", last[4] = "";

  // Done, and not looked at: a read, a failure, a NOP.
  struct io_uring_sqe* request = ring_request(&ring, IORING_OP_READ, 1);
  request->fd = file;
  request->addr = (uintptr_t)before;
  request->len = 3;
  request = ring_request(&ring, IORING_OP_READ, 2);
  request->fd = -1;
  request->addr = (uintptr_t)before;
  ring_request(&ring, IORING_OP_NOP, 0xfedcba9876543210u);
  ring_submit(&ring);
  while (ring_load(&ring, ring.setup.cq_off.tail) != 1006)
    if (ring_enter(&ring, 0, 3) < 0) guest_fail("wait for three");

  request = ring_request(&ring, IORING_OP_READ, 4);
  request->fd = file;
  request->off = 4;
  request->addr = (uintptr_t)after;
  request->len = 3;
  ring_store(&ring, ring.setup.sq_off.tail, ring.next);
  request = ring_request(&ring, IORING_OP_READ, 5);
  request->fd = file;
  request->off = 7;
  request->addr = (uintptr_t)last;
  request->len = 3;
  guest_ready();
  guest_wait();

  EXPECT_EQ(ring_load(&ring, ring.setup.cq_off.tail), 1006);
  EXPECT_EQ(ring_load(&ring, ring.setup.sq_off.head), 1006);
  EXPECT_EQ(ring_load(&ring, ring.setup.sq_off.tail), 1007);
  struct guest_completion completion = ring_completion(&ring);
  EXPECT_EQ(completion.user_data, 1);
  EXPECT_EQ(completion.res, 3);
  EXPECT(strcmp(before, "012") == 0);
  completion = ring_completion(&ring);
  EXPECT_EQ(completion.user_data, 2);
  EXPECT_EQ(completion.res, -EBADF);
  completion = ring_completion(&ring);
  EXPECT(completion.user_data == 0xfedcba9876543210u);
  ring_submit(&ring);
  completion = ring_completion(&ring);
  EXPECT_EQ(completion.user_data, 4);
  EXPECT_EQ(completion.res, 3);
  completion = ring_completion(&ring);
  EXPECT_EQ(completion.user_data, 5);
  EXPECT(strcmp(after, "456") == 0 && strcmp(last, "789") == 0);
  ring_check(&ring, 1008, 1008);
  return guest_ok();
}
