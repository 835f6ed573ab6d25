// UNIX sockets that hold as much as they can: streams filled in large blocks, through a small and
// through the largest send buffer; a buffer that was made smaller afterwards; packets; datagrams of
// many senders without a name, as long as those have lived.
#include "guest_socket.h"

static char block[1 << 17];

static void fill_block(size_t size, size_t at) {
  for (size_t i = 0; i < size; i++) block[i] = (char)((at + i) * 2654435761u >> 13);
}

static size_t fill(int fd, size_t size) {
  for (size_t total = 0;;) {
    fill_block(size, total);
    ssize_t put = send(fd, block, size, MSG_DONTWAIT);
    if (put < 0) {
      EXPECT_EQ(errno, EAGAIN);
      return total;
    }
    total += (size_t)put;
  }
}

static void expect_filled(int fd, size_t total, size_t size) {
  static char got[sizeof block];
  for (size_t at = 0; at < total;) {
    ssize_t count = recv(fd, got, size, MSG_DONTWAIT);
    EXPECT(count > 0);
    fill_block((size_t)count, at);
    EXPECT(memcmp(got, block, (size_t)count) == 0);
    at += (size_t)count;
  }
  EXPECT_EMPTY(fd);
}

enum { kPairs = 7, kSenders = 8, kMessage = 100000 };
static const struct {
  int type, buffer;
  size_t size;
} kinds[kPairs] = {{SOCK_STREAM, 0, 32768},       {SOCK_STREAM, 0, 65536},
                   {SOCK_STREAM, 0, 131072},      {SOCK_STREAM, 4608, 5000},
                   {SOCK_STREAM, 1 << 30, 32768}, {SOCK_SEQPACKET, 0, 30000},
                   {SOCK_STREAM, 212992, 32768}};

int main(void) {
  int pairs[kPairs][2], sizes[kPairs];
  size_t totals[kPairs];
  for (int i = 0; i < kPairs; i++) {
    EXPECT_EQ(socketpair(AF_UNIX, kinds[i].type, 0, pairs[i]), 0);
    if (kinds[i].buffer != 0) set_option(pairs[i][0], SOL_SOCKET, SO_SNDBUF, kinds[i].buffer);
    totals[i] = fill(pairs[i][0], kinds[i].size);
    sizes[i] = get_option(pairs[i][0], SOL_SOCKET, SO_SNDBUF);
  }
  set_option(pairs[1][0], SOL_SOCKET, SO_SNDBUF, 4608);
  sizes[1] = get_option(pairs[1][0], SOL_SOCKET, SO_SNDBUF);
  const char* name = own_name("reader");
  int reader = unix_bound(SOCK_DGRAM, name);
  struct sockaddr_un address;
  socklen_t length = unix_address(&address, name);
  for (int i = 0; i < kSenders; i++) {
    int sender = socket(AF_UNIX, SOCK_DGRAM, 0);
    fill_block(kMessage, (size_t)i * kMessage);
    EXPECT_EQ(sendto(sender, block, kMessage, MSG_DONTWAIT, (struct sockaddr*)&address, length),
              kMessage);
    close(sender);
  }
  guest_ready();
  guest_wait();
  for (int i = 0; i < kPairs; i++) {
    EXPECT_EQ(get_option(pairs[i][0], SOL_SOCKET, SO_SNDBUF), sizes[i]);
    EXPECT_EQ(get_option(pairs[i][1], SOL_SOCKET, SO_SNDBUF), sizes[0]);
    expect_filled(pairs[i][1], totals[i], kinds[i].size);
    EXPECT_SEND(pairs[i][0], "after");
    EXPECT_RECV(pairs[i][1], "after");
  }
  expect_filled(reader, kSenders * kMessage, kMessage);
  return guest_ok();
}
