// Pipes to oneself: data in them, a full one with its size, a closed end, packet mode, a fifo.
#include <signal.h>

#include "guest.h"

int main(void) {
  int data[2], full[2], ended[2], packets[2];
  char block[4096], text[64] = "";
  EXPECT(pipe(data) == 0 && pipe2(full, O_NONBLOCK) == 0 && pipe(ended) == 0);
  EXPECT_EQ(pipe2(packets, O_DIRECT | O_NONBLOCK), 0);
  EXPECT_EQ(write(data[1], "left in the pipe", 16), 16);
  int size = fcntl(full[1], F_SETPIPE_SZ, 16384);
  for (int i = 0; i < size / 4096; i++) {
    memset(block, 'a' + i, sizeof block);
    EXPECT_EQ(write(full[1], block, 4096), 4096);
  }
  EXPECT_EQ(write(ended[1], "end", 3), 3);
  close(ended[1]);
  EXPECT(write(packets[1], "one", 3) == 3 && write(packets[1], "three", 5) == 5);
  guest_ready();
  guest_wait();
  EXPECT_EQ(read(data[0], text, 64), 16);
  EXPECT(memcmp(text, "left in the pipe", 16) == 0);
  EXPECT_EQ(fcntl(full[0], F_GETPIPE_SZ), size);
  EXPECT(write(full[1], "x", 1) == -1 && errno == EAGAIN);
  for (int i = 0; i < size / 4096; i++) {
    EXPECT_EQ(read(full[0], block, 4096), 4096);
    EXPECT(block[0] == 'a' + i && block[4095] == 'a' + i);
  }
  EXPECT(read(full[0], block, 1) == -1 && errno == EAGAIN);
  EXPECT_EQ(read(ended[0], text, 64), 3);
  EXPECT_EQ(read(ended[0], text, 64), 0);
  EXPECT_EQ(read(packets[0], text, 64), 3);
  EXPECT_EQ(read(packets[0], text, 64), 5);
  signal(SIGPIPE, SIG_IGN);
  close(data[0]);
  EXPECT(write(data[1], "x", 1) == -1 && errno == EPIPE);
  return guest_ok();
}
