// Listening TCP sockets over IPv4 and IPv6: port, options, connections that wait to be accepted.
#include "guest_socket.h"

int main(void) {
  int families[] = {AF_INET, AF_INET6}, listeners[2], ports[2], clients[2][2], client_ports[2][2];
  for (int i = 0; i < 2; i++) {
    listeners[i] = tcp_listener(families[i], 7 + i);
    set_option(listeners[i], IPPROTO_TCP, TCP_DEFER_ACCEPT, i ? 0 : 1);
    set_option(listeners[i], IPPROTO_TCP, TCP_NODELAY, 1);
    set_option(listeners[i], IPPROTO_TCP, TCP_DEFER_ACCEPT, 0);
    set_option(listeners[i], SOL_SOCKET, SO_KEEPALIVE, 1);
    set_option(listeners[i], SOL_SOCKET, SO_RCVBUF, 50000);
    ports[i] = own_port(listeners[i]);
    for (int j = 0; j < 2; j++) {
      clients[i][j] = inet_connected(families[i], SOCK_STREAM, ports[i]);
      client_ports[i][j] = own_port(clients[i][j]);
    }
  }
  int bound = inet_bound(AF_INET, SOCK_STREAM), fresh = socket(AF_INET, SOCK_STREAM, 0);
  int bound_port = own_port(bound);
  guest_ready();
  guest_wait();
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(own_port(listeners[i]), ports[i]);
    EXPECT_EQ(get_option(listeners[i], SOL_SOCKET, SO_ACCEPTCONN), 1);
    EXPECT_EQ(get_option(listeners[i], IPPROTO_TCP, TCP_NODELAY), 1);
    EXPECT_EQ(get_option(listeners[i], SOL_SOCKET, SO_KEEPALIVE), 1);
    EXPECT_EQ(get_option(listeners[i], SOL_SOCKET, SO_RCVBUF), 100000);
    int ends[2], seen = 0;
    for (int j = 0; j < 2; j++) {
      int accepted = accept(listeners[i], NULL, NULL);
      EXPECT(accepted >= 0);
      EXPECT_EQ(own_port(accepted), ports[i]);
      int which = peer_port(accepted) == client_ports[i][1];
      EXPECT_EQ(peer_port(accepted), client_ports[i][which]);
      EXPECT_EQ(peer_port(clients[i][which]), ports[i]);
      EXPECT_SEND(accepted, "to the client");
      EXPECT_RECV(clients[i][which], "to the client");
      seen |= 1 << which;
    }
    EXPECT_EQ(seen, 3);
    tcp_pair(listeners[i], families[i], ends);
  }
  EXPECT_EQ(own_port(bound), bound_port);
  EXPECT_EQ(listen(bound, 1), 0);
  EXPECT_EQ(inet_connect(fresh, AF_INET, bound_port), 0);
  return guest_ok();
}
