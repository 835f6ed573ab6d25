// Datagram sockets by path and abstract name: what is queued, empty messages among it, and from
// whom, also from a sender that was closed; connected ones; one without a name.
// The second look at an empty message does not find it (README, limits): one checkpoint a life.
// roundtrip: modes=resume,restart,twice,real,virtual,ways
#include "guest_socket.h"

static void send_from(int fd, const char* text, const char* to) {
  struct sockaddr_un address;
  socklen_t length = unix_address(&address, to);
  EXPECT_EQ(sendto(fd, text, strlen(text), 0, (struct sockaddr*)&address, length), strlen(text));
}

static void expect_from(int fd, const char* text, const char* from) {
  char bytes[256];
  struct sockaddr_un address;
  socklen_t length = sizeof address;
  memset(&address, 0, sizeof address);
  EXPECT_EQ(recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr*)&address, &length),
            strlen(text));
  EXPECT(memcmp(bytes, text, strlen(text)) == 0);
  if (length == 0) length = offsetof(struct sockaddr_un, sun_path);
  EXPECT(unix_is_named(&address, length, from));
}

int main(void) {
  const char *server = own_name("server"), *client = own_name("client"), *old = own_name("old");
  int abstract = unix_bound(SOCK_DGRAM, server), by_path = unix_bound(SOCK_DGRAM, "server");
  int sender = unix_bound(SOCK_DGRAM, client), nameless = socket(AF_UNIX, SOCK_DGRAM, 0);
  int closed = unix_bound(SOCK_DGRAM, old), file = unix_bound(SOCK_DGRAM, "client");
  send_from(sender, "", server);
  send_from(sender, "one", server);
  send_from(nameless, "", server);
  send_from(closed, "two", server);
  send_from(file, "three", server);
  send_from(abstract, "to myself", server);
  send_from(file, "by path", "server");
  close(closed);
  int connected = socket(AF_UNIX, SOCK_DGRAM, 0), pair[2];
  unix_connect_to(connected, "server");
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, pair), 0);
  EXPECT_SEND(pair[0], "paired");
  EXPECT_SEND(pair[0], "");
  EXPECT_SEND(pair[0], "again");
  unix_connect_to(sender, "server");
  guest_ready();
  guest_wait();
  expect_from(abstract, "", client);
  expect_from(abstract, "one", client);
  expect_from(abstract, "", "");
  expect_from(abstract, "two", old);
  expect_from(abstract, "three", "client");
  expect_from(abstract, "to myself", server);
  EXPECT_EMPTY(abstract);
  expect_from(by_path, "by path", "client");
  EXPECT_SEND(connected, "connected");
  expect_from(by_path, "connected", "");
  EXPECT_SEND(sender, "later");
  expect_from(by_path, "later", client);
  EXPECT_UNIX_NAME(sender, getpeername, "server");
  EXPECT_RECV(pair[1], "paired");
  EXPECT_RECV(pair[1], "");
  EXPECT_RECV(pair[1], "again");
  EXPECT_EMPTY(pair[1]);
  return guest_ok();
}
