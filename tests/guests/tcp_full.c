// A connection whose queues are full, and one whose sender holds back a part (TCP_CORK): no byte is
// lost or doubled.
#include "guest_socket.h"

static size_t fill(int fd) {
  static uint64_t block[8192];
  size_t total = 0;
  for (;;) {
    guest_fill(block, sizeof block, total / 8);
    ssize_t put = send(fd, block, sizeof block, MSG_DONTWAIT);
    if (put < 0) {
      EXPECT_EQ(errno, EAGAIN);
      return total;
    }
    EXPECT_EQ(put % 8, 0);
    total += (size_t)put;
  }
}

static void expect_filled(int fd, size_t total) {
  static uint64_t block[8192];
  for (size_t got = 0; got < total;) {
    size_t want = total - got < sizeof block ? total - got : sizeof block;
    EXPECT_EQ(recv(fd, block, want, MSG_WAITALL), want);
    EXPECT(guest_filled(block, want, got / 8));
    got += want;
  }
}

int main(void) {
  int listener = tcp_listener(AF_INET, 5), full[2], corked[2], small[2];
  tcp_pair(listener, AF_INET, full);
  tcp_pair(listener, AF_INET, corked);
  set_option(listener, SOL_SOCKET, SO_RCVBUF, 8192);
  tcp_pair(listener, AF_INET, small);
  // Blocks go whole or not at all: parts are multiples of 8 as long as the room is.
  size_t total = fill(full[0]), other = fill(full[1]), little = fill(small[0]);
  set_option(corked[0], IPPROTO_TCP, TCP_CORK, 1);
  EXPECT_SEND(corked[0], "held back");
  guest_ready();
  guest_wait();
  EXPECT_EQ(get_option(corked[0], IPPROTO_TCP, TCP_CORK), 1);
  EXPECT_SEND(full[1], "");
  expect_filled(full[1], total);
  expect_filled(full[0], other);
  expect_filled(small[1], little);
  EXPECT_SEND(full[0], "after");
  char bytes[64];
  EXPECT_EQ(recv(full[1], bytes, sizeof bytes, 0), 5);
  EXPECT_EQ(recv(corked[1], bytes, sizeof bytes, 0), 9);
  EXPECT(memcmp(bytes, "held back", 9) == 0);
  EXPECT_EMPTY(corked[1]);
  return guest_ok();
}
