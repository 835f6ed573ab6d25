// A connect that is in progress: nobody has answered yet, as the listener's backlog is full.
#include "guest_socket.h"

int main(void) {
  int listener = tcp_listener(AF_INET, 0), port = own_port(listener), late = -1;
  int clients[8], count = 0;
  while (late < 0) {
    EXPECT(count < 8);
    int fd = clients[count++] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (inet_connect(fd, AF_INET, port) != 0) EXPECT_EQ(errno, EINPROGRESS);
    guest_nap(20);
    if ((poll_events(fd, POLLOUT) & POLLOUT) == 0) late = fd;
  }
  guest_ready();
  guest_wait();
  double start = guest_now();
  for (int i = 0; i < count; i++) {
    int accepted;
    while ((accepted = accept(listener, NULL, NULL)) < 0) EXPECT_EQ(errno, EINTR);
    if (guest_now() - start > 20) guest_fail("it takes too long");
    close(accepted);
  }
  EXPECT((poll_events(late, POLLOUT) & POLLOUT) != 0);
  EXPECT_EQ(get_option(late, SOL_SOCKET, SO_ERROR), 0);
  EXPECT_EQ(peer_port(late), port);
  return guest_ok();
}
