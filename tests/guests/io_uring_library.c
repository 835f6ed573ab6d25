// liburing: it keeps the heads and tails of the rings in its own memory, calls the ring by the
// number under which it has registered it, and reads and writes without a system call in between.
// roundtrip: delay=0.5
#include <liburing.h>

#include "guest.h"

enum { kBlock = 4096, kBlocks = 16 };
static char memory[kBlocks][kBlock];

static void request(struct io_uring* ring, int file, int block, int is_write) {
  struct io_uring_sqe* sqe = io_uring_get_sqe(ring);
  EXPECT(sqe != 0);
  if (is_write)
    io_uring_prep_write(sqe, file, memory[block], kBlock, (unsigned)block * kBlock);
  else
    io_uring_prep_read(sqe, file, memory[block], kBlock, (unsigned)block * kBlock);
  io_uring_sqe_set_data64(sqe, (unsigned)block);
}

static void all_blocks(struct io_uring* ring, int file, int is_write) {
  for (int block = 0; block < kBlocks; block++) request(ring, file, block, is_write);
  EXPECT_EQ(io_uring_submit(ring), kBlocks);
  unsigned seen = 0;
  for (int i = 0; i < kBlocks; i++) {
    struct io_uring_cqe* cqe;
    EXPECT_EQ(io_uring_wait_cqe(ring, &cqe), 0);
    EXPECT_EQ(cqe->res, kBlock);
    seen |= 1u << io_uring_cqe_get_data64(cqe);
    io_uring_cqe_seen(ring, cqe);
  }
  EXPECT_EQ(seen, (1u << kBlocks) - 1);
}

int main(void) {
  struct io_uring ring;
  if (io_uring_queue_init(32, &ring, 0) < 0) guest_skip("no io_uring on this machine");
  EXPECT_EQ(io_uring_register_ring_fd(&ring), 1);
  int file = guest_file("file", "");
  unlink("file");  // so that its content is of the image, as old as the memory
  guest_ready();
  for (uint64_t round = 1; !guest_released(); round++) {
    for (int block = 0; block < kBlocks; block++)
      guest_fill(memory[block], kBlock, round + 100u * (unsigned)block);
    all_blocks(&ring, file, 1);
    memset(memory, 0, sizeof memory);
    all_blocks(&ring, file, 0);
    for (int block = 0; block < kBlocks; block++)
      EXPECT(guest_filled(memory[block], kBlock, round + 100u * (unsigned)block));
  }
  io_uring_queue_exit(&ring);
  return guest_ok();
}
