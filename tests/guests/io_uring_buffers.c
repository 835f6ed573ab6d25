// Buffers that are registered with a ring, one place empty, and an empty table of files.
#include <sys/uio.h>

#include "guest_ring.h"

static void transfer(struct guest_ring* ring, int code, int file, void* memory, int buffer) {
  struct io_uring_sqe* request = ring_request(ring, code, 9);
  request->fd = file;
  request->addr = (uintptr_t)memory;
  request->len = 4096;
  request->buf_index = (unsigned short)buffer;
  ring_submit(ring);
  EXPECT_EQ(ring_completion(ring).res, 4096);
}

int main(void) {
  struct guest_ring ring = ring_open(8, 0);
  char* memory = mmap(0, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  static char data[8192];
  struct iovec buffers[3] = {{memory, 65536}, {0, 0}, {data, sizeof data}};
  EXPECT_EQ(
      guest_raw(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, (long)buffers, 3, 0, 0),
      0);
  int none[5] = {-1, -1, -1, -1, -1};
  EXPECT_EQ(guest_raw(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, (long)none, 5, 0, 0),
            0);
  int file = guest_file("file", "");
  guest_fill(memory, 4096, 1);
  transfer(&ring, IORING_OP_WRITE_FIXED, file, memory, 0);
  guest_ready();
  guest_wait();
  EXPECT(guest_filled(memory, 4096, 1));
  transfer(&ring, IORING_OP_READ_FIXED, file, data + 4096, 2);
  EXPECT(guest_filled(data + 4096, 4096, 1));
  guest_fill(memory + 61440, 4096, 2);
  transfer(&ring, IORING_OP_WRITE_FIXED, file, memory + 61440, 0);
  EXPECT_EQ(pread(file, data, 4096, 0), 4096);
  EXPECT(guest_filled(data, 4096, 2));

  struct io_uring_rsrc_update update = {.offset = 3, .data = (uintptr_t)&file};
  EXPECT_EQ(guest_raw(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES_UPDATE, (long)&update,
                      1, 0, 0),
            1);
  return guest_ok();
}
