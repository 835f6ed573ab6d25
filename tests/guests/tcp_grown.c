// Full connections whose buffers are larger than setsockopt(2) allows (net.core.rmem_max): one that
// the kernel has made so because much went through it, and one that a privileged program has.
#include "guest_socket.h"

typedef struct {
  int ends[2];
  size_t sent, received;
} Connection;

static char block[65536];

static void fill_block(size_t size, size_t at) {
  for (size_t i = 0; i < size; i++) block[i] = (char)((at + i) * 2654435761u >> 13);
}

static int send_some(Connection* one) {
  fill_block(sizeof block, one->sent);
  ssize_t put = send(one->ends[0], block, sizeof block, MSG_DONTWAIT);
  if (put > 0) one->sent += (size_t)put;
  return put > 0;
}

static int receive_some(Connection* one) {
  static char got[sizeof block];
  ssize_t count = recv(one->ends[1], got, sizeof got, MSG_DONTWAIT);
  if (count <= 0) return 0;
  fill_block((size_t)count, one->received);
  EXPECT(memcmp(got, block, (size_t)count) == 0);
  one->received += (size_t)count;
  return 1;
}

static void grow_and_fill(Connection* one) {
  while (one->received < (200 << 20)) {
    while (send_some(one)) continue;
    while (receive_some(one)) continue;
  }
  for (int still = 0; still < 20; still++) {
    while (send_some(one)) still = 0;
    guest_nap(5);
  }
}

int main(void) {
  Connection grown = {0}, large = {0};
  int listener = tcp_listener(AF_INET, 5), size = 8 << 20;
  tcp_pair(listener, AF_INET, grown.ends);
  setsockopt(listener, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  tcp_pair(listener, AF_INET, large.ends);
  setsockopt(large.ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof size);
  set_option(grown.ends[1], SOL_SOCKET, SO_PEEK_OFF, 3);
  grow_and_fill(&grown);
  grow_and_fill(&large);
  set_option(grown.ends[1], SOL_SOCKET, SO_PEEK_OFF, 3);
  int send_buffer = get_option(large.ends[0], SOL_SOCKET, SO_SNDBUF);
  guest_ready();
  guest_wait();
  EXPECT_EQ(get_option(large.ends[0], SOL_SOCKET, SO_SNDBUF), send_buffer);
  EXPECT_EQ(get_option(grown.ends[1], SOL_SOCKET, SO_PEEK_OFF), 3);
  for (int still = 0; still < 100; still++) {
    while (receive_some(&grown) || receive_some(&large)) still = 0;
    guest_nap(2);
  }
  EXPECT_EQ(grown.received, grown.sent);
  EXPECT_EQ(large.received, large.sent);
  return guest_ok();
}
