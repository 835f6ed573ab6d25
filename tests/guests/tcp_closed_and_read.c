// Ends of TCP connections whose other end was closed, and of which everything has been read: where
// the program did not set SO_REUSEADDR, nobody can be bound to the closed end's port for a minute.
#include "guest_socket.h"

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
  int port = peer_port(early[1]);
  guest_ready();
  guest_wait();
  EXPECT_EQ(recv(early[1], &byte, 1, 0), 0);
  EXPECT_EQ(recv(late[1], &byte, 1, 0), 0);
  EXPECT_EQ(peer_port(early[1]), port);
  EXPECT_EQ(own_port(early[1]), own_port(listener));
  EXPECT_EQ(get_option(early[1], IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT), 0);
  return guest_ok();
}
