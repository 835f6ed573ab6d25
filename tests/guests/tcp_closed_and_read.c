// Ends of TCP connections whose other end was closed, and of which everything has been read: where
// the program did not set SO_REUSEADDR, nobody can be bound to the closed end's port for a minute.
// The same port may lead to another address meanwhile, also from a connection not accepted yet.
#include "guest_socket.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

int main(void) {
  int listener = tcp_listener(AF_INET, 9), early[2], late[2];
  char byte;
  tcp_pair(listener, AF_INET, early);
  tcp_pair(listener, AF_INET, late);
  EXPECT_SEND(early[0], "all");
  close(early[0]);
  EXPECT_RECV(early[1], "all");
  close(late[0]);
  EXPECT_EQ(recv(late[1], &byte, 1, 0), 0);
  int port = peer_port(early[1]), other = tcp_listener(AF_INET, 9), waiting[2];
  set_option(other, SOL_SOCKET, SO_REUSEADDR, 1);
  waiting[0] = socket(AF_INET, SOCK_STREAM, 0);
  set_option(waiting[0], IPPROTO_IP, IP_LOCAL_PORT_RANGE, port << 16 | port);
  EXPECT_EQ(inet_connect(waiting[0], AF_INET, own_port(other)), 0);
  set_option(waiting[0], IPPROTO_IP, IP_LOCAL_PORT_RANGE, 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(recv(early[1], &byte, 1, 0), 0);
  EXPECT_EQ(recv(late[1], &byte, 1, 0), 0);
  EXPECT_EQ(peer_port(early[1]), port);
  EXPECT_EQ(own_port(early[1]), own_port(listener));
  EXPECT_EQ(get_option(early[1], IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 0);
  waiting[1] = accept(other, NULL, NULL);
  EXPECT_SEND(waiting[0], "at last");
  EXPECT_RECV(waiting[1], "at last");
  EXPECT_EQ(peer_port(waiting[1]), port);
  return guest_ok();
}
