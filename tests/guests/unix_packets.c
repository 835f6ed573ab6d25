// SOCK_SEQPACKET through a listener and as a pair: messages, an empty one, the end.
// The second look at an empty message does not find it (README, limits): one checkpoint a life.
// roundtrip: modes=resume,restart,twice,real,virtual,ways
#include "guest_socket.h"

int main(void) {
  const char* name = own_name("packets");
  int listener = unix_listener(SOCK_SEQPACKET, name, 5), pair[2];
  int client = unix_connected(SOCK_SEQPACKET, name);
  int server = accept(listener, NULL, NULL);
  EXPECT(server >= 0);
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair), 0);
  EXPECT_SEND(client, "one");
  EXPECT_SEND(client, "");
  EXPECT_SEND(client, "three");
  EXPECT_SEND(pair[0], "");
  EXPECT_SEND(pair[0], "last");
  EXPECT_EQ(shutdown(pair[0], SHUT_WR), 0);
  guest_ready();
  guest_wait();
  EXPECT_UNIX_NAME(client, getpeername, name);
  EXPECT_RECV(server, "one");
  EXPECT_RECV(server, "");
  EXPECT_RECV(server, "three");
  EXPECT_EMPTY(server);
  EXPECT_RECV(pair[1], "");
  EXPECT_RECV(pair[1], "last");
  EXPECT_RECV(pair[1], "");
  EXPECT_SEND(pair[1], "back");
  EXPECT_RECV(pair[0], "back");
  return guest_ok();
}
