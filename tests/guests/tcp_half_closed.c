// Ends of TCP connections that were shut down or closed, with what is unread; and one that was
// reset.
#include "guest_socket.h"

int main(void) {
  int listener = tcp_listener(AF_INET, 9), half[2], closed[2], left[2], over[2], reset[2], told[2];
  char byte;
  struct linger at_once = {1, 0};
  tcp_pair(listener, AF_INET, half);
  tcp_pair(listener, AF_INET, closed);
  tcp_pair(listener, AF_INET, left);
  tcp_pair(listener, AF_INET, over);
  tcp_pair(listener, AF_INET, reset);
  tcp_pair(listener, AF_INET, told);
  EXPECT_SEND(half[0], "last words");
  EXPECT_EQ(shutdown(half[0], SHUT_WR), 0);
  EXPECT_SEND(half[1], "an answer");
  EXPECT_SEND(closed[0], "client's last");
  close(closed[0]);
  EXPECT_SEND(left[1], "server's last");
  close(left[1]);
  EXPECT_SEND(over[0], "both shut");
  EXPECT_EQ(shutdown(over[0], SHUT_WR), 0);
  EXPECT_EQ(shutdown(over[1], SHUT_WR), 0);
  EXPECT_EQ(setsockopt(reset[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  close(reset[0]);
  EXPECT_EQ(setsockopt(told[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once), 0);
  close(told[0]);
  EXPECT_EQ(recv(told[1], &byte, 1, 0), -1);
  guest_ready();
  guest_wait();
  EXPECT_RECV(half[1], "last words");
  EXPECT_EQ(recv(half[1], &byte, 1, 0), 0);
  EXPECT_RECV(half[0], "an answer");
  EXPECT_EQ(send(half[0], "x", 1, MSG_NOSIGNAL), -1);
  EXPECT_SEND(half[1], "still open");
  EXPECT_RECV(half[0], "still open");
  EXPECT_RECV(closed[1], "client's last");
  EXPECT_EQ(recv(closed[1], &byte, 1, 0), 0);
  EXPECT_RECV(left[0], "server's last");
  EXPECT_EQ(recv(left[0], &byte, 1, 0), 0);
  EXPECT_RECV(over[1], "both shut");
  EXPECT_EQ(recv(over[1], &byte, 1, 0), 0);
  EXPECT_EQ(recv(over[0], &byte, 1, 0), 0);
  EXPECT((poll_events(over[0], POLLIN) & POLLHUP) != 0);
  EXPECT((poll_events(reset[1], POLLIN) & (POLLHUP | POLLERR)) == (POLLHUP | POLLERR));
  EXPECT_EQ(recv(reset[1], &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT((poll_events(told[1], POLLIN) & (POLLHUP | POLLERR)) == POLLHUP);
  EXPECT_EQ(recv(told[1], &byte, 1, 0), 0);
  return guest_ok();
}
