// A ring that only one thread may use, with its completions on request
// (IORING_SETUP_DEFER_TASKRUN), and under a number of that thread's (IORING_REGISTER_RING_FDS).
#include "guest_ring.h"

enum { kByNumber = 1 << 4 };  // IORING_ENTER_REGISTERED_RING

int main(void) {
  struct guest_ring ring = ring_open(8, IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
  struct io_uring_rsrc_update update = {.offset = 5, .data = (unsigned)ring.fd};
  EXPECT_EQ(
      guest_raw(SYS_io_uring_register, ring.fd, IORING_REGISTER_RING_FDS, (long)&update, 1, 0, 0),
      1);
  ring_work(&ring, 300001);
  guest_ready();
  guest_wait();
  ring_check(&ring, 300001, 300001);
  ring_work(&ring, 999);
  ring_request(&ring, IORING_OP_NOP, 77);
  ring_store(&ring, ring.setup.sq_off.tail, ring.next);
  EXPECT_EQ(guest_raw(SYS_io_uring_enter, 5, 1, 1, IORING_ENTER_GETEVENTS | kByNumber, 0, 0), 1);
  EXPECT_EQ(ring_completion(&ring).user_data, 77);

  // A completion that waits for the thread to come for it, and no other thread's business.
  int ends[2];
  EXPECT(pipe(ends) == 0);
  char byte = 0;
  struct io_uring_sqe* request = ring_request(&ring, IORING_OP_READ, 78);
  request->fd = ends[0];
  request->addr = (uintptr_t)&byte;
  request->len = 1;
  ring_submit(&ring);
  EXPECT_EQ(write(ends[1], "x", 1), 1);
  EXPECT_EQ(ring_load(&ring, ring.setup.cq_off.tail), ring.seen);
  EXPECT_EQ(ring_completion(&ring).res, 1);
  EXPECT(byte == 'x');
  return guest_ok();
}
