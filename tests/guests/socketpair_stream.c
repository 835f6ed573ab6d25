// A connected pair of stream sockets: data under way both ways, options, a half-closed end.
#include <sys/socket.h>

#include "guest.h"

int main(void) {
  int ends[2], closed[2], buffer = 50000, seen = 0;
  socklen_t size = sizeof seen;
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, closed), 0);
  EXPECT_EQ(setsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer), 0);
  EXPECT_EQ(getsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &buffer, &size), 0);
  EXPECT_EQ(write(ends[0], "first", 5), 5);
  EXPECT_EQ(write(ends[0], "second!", 7), 7);
  EXPECT_EQ(write(ends[1], "back", 4), 4);
  EXPECT_EQ(write(closed[0], "last", 4), 4);
  EXPECT_EQ(shutdown(closed[0], SHUT_WR), 0);
  guest_ready();
  guest_wait();
  char text[64] = "";
  EXPECT_EQ(read(ends[1], text, 64), 12);
  EXPECT(memcmp(text, "firstsecond!", 12) == 0);
  EXPECT(read(ends[1], text, 64) == -1 && errno == EAGAIN);
  EXPECT_EQ(read(ends[0], text, 64), 4);
  EXPECT_EQ(getsockopt(ends[0], SOL_SOCKET, SO_SNDBUF, &seen, &size), 0);
  EXPECT_EQ(seen, buffer);
  EXPECT_EQ(write(ends[1], "again", 5), 5);
  EXPECT_EQ(read(ends[0], text, 64), 5);
  EXPECT_EQ(read(closed[1], text, 64), 4);
  EXPECT_EQ(read(closed[1], text, 64), 0);
  return guest_ok();
}
