// Writes and reads back a file with eight requests in flight at all times, some by the kernel's
// worker threads (IOSQE_ASYNC): a checkpoint waits for what is under way.
// roundtrip: delay=0.6
#include "guest_ring.h"

enum { kBlock = 16384, kBlocks = 8 };
static char memory[kBlocks][kBlock] __attribute__((aligned(4096)));

static void request(struct guest_ring* ring, int file, int block, int code) {
  struct io_uring_sqe* request = ring_request(ring, code, (uint64_t)block << 8 | (unsigned)code);
  request->fd = file;
  request->addr = (uintptr_t)memory[block];
  request->len = kBlock;
  request->off = (uint64_t)block * kBlock;
  if (block % 2) request->flags = IOSQE_ASYNC;
}

int main(void) {
  struct guest_ring ring = ring_open(kBlocks, 0);
  int file = guest_file("file", "");
  unlink("file");  // so that its content is of the image, as old as the memory
  uint64_t round[kBlocks];
  for (int block = 0; block < kBlocks; block++) {
    round[block] = 1;
    guest_fill(memory[block], kBlock, round[block]);
    request(&ring, file, block, IORING_OP_WRITE);
  }
  ring_submit(&ring);
  guest_ready();
  for (int busy = kBlocks; busy > 0;) {
    struct guest_completion completion = ring_completion(&ring);
    EXPECT_EQ(completion.res, kBlock);
    int block = (int)(completion.user_data >> 8);
    if ((completion.user_data & 255) == IORING_OP_WRITE) {
      memset(memory[block], 0, kBlock);
      request(&ring, file, block, IORING_OP_READ);
    } else {
      EXPECT(guest_filled(memory[block], kBlock, round[block]));
      if (guest_released()) {
        busy--;
        continue;
      }
      guest_fill(memory[block], kBlock, ++round[block]);
      request(&ring, file, block, IORING_OP_WRITE);
    }
    ring_submit(&ring);
  }
  return guest_ok();
}
