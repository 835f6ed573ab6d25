// recv on a socket with SO_RCVTIMEO.
// roundtrip: delay=2
#include <sys/socket.h>
#include <sys/time.h>

#include "guest.h"

int main(void) {
  int ends[2];
  struct timeval time = {GUEST_BLOCK_SECONDS, 0};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  EXPECT_EQ(setsockopt(ends[0], SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time), 0);
  double start = guest_now();
  guest_ready();
  char byte;
  ssize_t got = recv(ends[0], &byte, 1, 0);
  EXPECT(got == -1 && errno == EAGAIN);
  guest_expect_elapsed(start);
  return guest_ok();
}
