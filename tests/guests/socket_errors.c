// Errors that sockets have not reported yet: a connection whose other end was closed with something
// unread, with bytes before the error; packets likewise; a connected UDP socket to a port that
// nobody serves. A checkpoint does not take them away; a restart keeps those of connections.
#include "guest_socket.h"

static int reset(int type, const char* left) {
  int pair[2];
  EXPECT_EQ(socketpair(AF_UNIX, type, 0, pair), 0);
  EXPECT_SEND(pair[0], "unread");
  if (left[0] != 0) EXPECT_SEND(pair[1], left);
  close(pair[1]);
  return pair[0];
}

static void expect_error(int fd, int error) {
  char bytes[16];
  EXPECT_EQ(recv(fd, bytes, sizeof bytes, MSG_DONTWAIT), -1);
  EXPECT_EQ(errno, error);
}

int main(void) {
  int with_bytes = reset(SOCK_STREAM, "last words"), silent = reset(SOCK_STREAM, "");
  int packets = reset(SOCK_SEQPACKET, "");
  int closed = inet_bound(AF_INET, SOCK_DGRAM), port = own_port(closed);
  close(closed);
  int refused = inet_connected(AF_INET, SOCK_DGRAM, port);
  EXPECT_SEND(refused, "anybody?");
  guest_ready();
  guest_wait();
  EXPECT_RECV(with_bytes, "last words");
  expect_error(with_bytes, ECONNRESET);
  expect_error(silent, ECONNRESET);
  expect_error(packets, ECONNRESET);
  char bytes[16];
  EXPECT_EQ(recv(refused, bytes, sizeof bytes, MSG_DONTWAIT), -1);
  EXPECT(errno == ECONNREFUSED || errno == EAGAIN);  // README, limits
  return guest_ok();
}
