// Idle rings that have done 1, 1,000 and 300,000 requests, of several forms: they go on counting.
// roundtrip: ten
#include "guest_ring.h"

int main(void) {
  struct guest_ring one = ring_open(8, 0);
  struct guest_ring some = ring_open(4, IORING_SETUP_SQE128 | IORING_SETUP_CQE32);
  struct guest_ring many = ring_open(64, 0);
  struct guest_ring fresh = ring_open(1, 0);
  ring_work(&one, 1);
  ring_work(&some, 1000);
  ring_work(&many, 300000);
  guest_ready();
  guest_wait();
  ring_check(&one, 1, 1);
  ring_check(&some, 1000, 1000);
  ring_check(&many, 300000, 300000);
  ring_check(&fresh, 0, 0);
  ring_work(&one, 100);
  ring_work(&some, 100);
  ring_work(&many, 1000);
  ring_work(&fresh, 10);
  ring_check(&many, 301000, 301000);

  // And they do more than nothing.
  int file = guest_file("file", "");
  struct io_uring_sqe* request = ring_request(&many, IORING_OP_WRITE, 7);
  request->fd = file;
  request->addr = (uintptr_t) "written";
  request->len = 7;
  ring_submit(&many);
  struct guest_completion completion = ring_completion(&many);
  EXPECT_EQ(completion.user_data, 7);
  EXPECT_EQ(completion.res, 7);
  char text[8] = "";
  EXPECT_EQ(pread(file, text, 7, 0), 7);
  EXPECT(strcmp(text, "written") == 0);
  return guest_ok();
}
