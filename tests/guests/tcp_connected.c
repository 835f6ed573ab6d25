// TCP connections inside the job: ports, options and unread bytes of both ends.
#include "guest_socket.h"

static void expect_echo(int ends[2]) {
  EXPECT_SEND(ends[0], "more");
  EXPECT_RECV(ends[1], "more");
  EXPECT_SEND(ends[1], "back");
  EXPECT_RECV(ends[0], "back");
}

int main(void) {
  int families[] = {AF_INET, AF_INET6}, listeners[2], ends[2][2], ports[2][2];
  for (int i = 0; i < 2; i++) {
    listeners[i] = tcp_listener(families[i], 5);
    tcp_pair(listeners[i], families[i], ends[i]);
    set_option(ends[i][0], IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(ends[i][1], IPPROTO_TCP, TCP_KEEPIDLE, 77);
    set_option(ends[i][1], SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(ends[i][1], SOL_SOCKET, SO_SNDBUF, 30000);
    struct linger linger = {1, 5};
    EXPECT_EQ(setsockopt(ends[i][0], SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    EXPECT_SEND(ends[i][0], "to the server");
    EXPECT_SEND(ends[i][1], "to the client");
    for (int j = 0; j < 2; j++) ports[i][j] = own_port(ends[i][j]);
  }
  close(listeners[1]);
  // Both families in one connection.
  int both = socket(AF_INET6, SOCK_STREAM, 0), mixed[2];
  EXPECT_EQ(listen(both, 5), 0);
  tcp_pair(both, AF_INET, mixed);
  EXPECT_SEND(mixed[1], "from IPv6");
  guest_ready();
  guest_wait();
  for (int i = 0; i < 2; i++) {
    for (int j = 0; j < 2; j++) {
      EXPECT_EQ(own_port(ends[i][j]), ports[i][j]);
      EXPECT_EQ(peer_port(ends[i][j]), ports[i][!j]);
      EXPECT_EQ(get_option(ends[i][j], IPPROTO_TCP, TCP_NODELAY), !j);
      EXPECT_EQ(get_option(ends[i][j], SOL_SOCKET, SO_KEEPALIVE), j);
    }
    EXPECT_EQ(get_option(ends[i][1], IPPROTO_TCP, TCP_KEEPIDLE), 77);
    EXPECT_EQ(get_option(ends[i][1], SOL_SOCKET, SO_SNDBUF), 60000);
    struct linger linger;
    socklen_t length = sizeof linger;
    EXPECT_EQ(getsockopt(ends[i][0], SOL_SOCKET, SO_LINGER, &linger, &length), 0);
    EXPECT(linger.l_onoff == 1 && linger.l_linger == 5);
    EXPECT_RECV(ends[i][1], "to the server");
    EXPECT_RECV(ends[i][0], "to the client");
    EXPECT_EMPTY(ends[i][0]);
    expect_echo(ends[i]);
  }
  EXPECT_RECV(mixed[0], "from IPv6");
  expect_echo(mixed);
  tcp_pair(listeners[0], AF_INET, mixed);
  tcp_pair(both, AF_INET6, mixed);
  return guest_ok();
}
