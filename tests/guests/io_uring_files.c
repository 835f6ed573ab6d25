// Files that are registered with a ring: a file, nothing, a socket. They share their position, and
// what has been sent, with the program's descriptors.
#include <sys/socket.h>

#include "guest_ring.h"

static int transfer(struct guest_ring* ring, int code, int slot, void* memory, unsigned length) {
  struct io_uring_sqe* request = ring_request(ring, code, 9);
  request->fd = slot;
  request->flags = IOSQE_FIXED_FILE;
  request->addr = (uintptr_t)memory;
  request->len = length;
  request->off = (uint64_t)-1;  // at the file's position
  ring_submit(ring);
  return ring_completion(ring).res;
}

int main(void) {
  struct guest_ring ring = ring_open(8, 0);
  int file = guest_file("file", "0123456789");
  int ends[2];
  EXPECT(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0);
  int files[4] = {file, -1, ends[0], -1};
  EXPECT_EQ(guest_raw(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, (long)files, 4, 0, 0),
            0);
  EXPECT_EQ(lseek(file, 2, SEEK_SET), 2);
  char text[8] = "";
  EXPECT_EQ(transfer(&ring, IORING_OP_READ, 0, text, 2), 2);
  EXPECT(strcmp(text, "23") == 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(transfer(&ring, IORING_OP_READ, 0, text, 3), 3);
  EXPECT(strcmp(text, "456") == 0);
  EXPECT_EQ(lseek(file, 0, SEEK_CUR), 7);
  EXPECT_EQ(transfer(&ring, IORING_OP_READ, 1, text, 3), -EBADF);
  EXPECT_EQ(transfer(&ring, IORING_OP_WRITE, 2, "sent", 4), 4);
  EXPECT_EQ(read(ends[1], text, 8), 4);
  EXPECT(memcmp(text, "sent", 4) == 0);
  EXPECT_EQ(fcntl(file, F_GETOWN), 0);
  EXPECT_EQ(fcntl(file, F_GETFL) & O_ASYNC, 0);
  return guest_ok();
}
