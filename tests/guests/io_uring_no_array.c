// A ring without the array of places (IORING_SETUP_NO_SQARRAY), and one whose array is zeros.
#include "guest_ring.h"

int main(void) {
  struct guest_ring bare = ring_open(8, IORING_SETUP_NO_SQARRAY);
  struct guest_ring large = ring_open(2048, IORING_SETUP_NO_SQARRAY | IORING_SETUP_CQE32);
  struct guest_ring zeros = ring_open(8, 0);
  ring_work(&bare, 27);
  ring_work(&large, 5000);
  guest_ready();
  guest_wait();
  ring_check(&bare, 27, 27);
  ring_check(&large, 5000, 5000);
  ring_work(&bare, 50);
  ring_work(&large, 5000);
  // Every place in the array is 0: request 0 is taken as often.
  ring_request(&zeros, IORING_OP_NOP, 42);
  ring_store(&zeros, zeros.setup.sq_off.tail, 8);
  EXPECT_EQ(ring_enter(&zeros, 8, 0), 8);
  for (int i = 0; i < 8; i++) EXPECT_EQ(ring_completion(&zeros).user_data, 42);
  return guest_ok();
}
