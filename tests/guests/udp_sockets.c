// UDP sockets over IPv4 and IPv6: ports, options, who is connected to whom, and what is queued with
// its senders' addresses, empty datagrams among it.
// The second look at an empty message does not find it (README, limits): one checkpoint a life.
// roundtrip: modes=resume,restart,twice,real,virtual,ways
#include "guest_socket.h"

static void expect_from(int fd, const char* text, int port) {
  struct sockaddr_storage from;
  socklen_t length = sizeof from;
  char bytes[64];
  EXPECT_EQ(recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr*)&from, &length),
            strlen(text));
  EXPECT(memcmp(bytes, text, strlen(text)) == 0);
  EXPECT_EQ(ntohs(((struct sockaddr_in*)&from)->sin_port), port);
}

int main(void) {
  int families[] = {AF_INET, AF_INET6}, servers[2], clients[2], ports[2][2], gone_port[2];
  for (int i = 0; i < 2; i++) {
    servers[i] = inet_bound(families[i], SOCK_DGRAM);
    ports[i][0] = own_port(servers[i]);
    clients[i] = inet_connected(families[i], SOCK_DGRAM, ports[i][0]);
    ports[i][1] = own_port(clients[i]);
    set_option(servers[i], SOL_SOCKET, SO_BROADCAST, 1);
    set_option(servers[i], SOL_SOCKET, SO_RCVBUF, 40000);
    if (i == 0) set_option(clients[i], IPPROTO_IP, IP_MULTICAST_TTL, 9);
    EXPECT_SEND(clients[i], "one");
    EXPECT_SEND(clients[i], "");
    EXPECT_SEND(clients[i], "three");
    int gone = inet_connected(families[i], SOCK_DGRAM, ports[i][0]);
    gone_port[i] = own_port(gone);
    EXPECT_SEND(gone, "from a closed one");
    close(gone);
  }
  guest_ready();
  guest_wait();
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(own_port(servers[i]), ports[i][0]);
    EXPECT_EQ(own_port(clients[i]), ports[i][1]);
    EXPECT_EQ(peer_port(clients[i]), ports[i][0]);
    EXPECT_EQ(get_option(servers[i], SOL_SOCKET, SO_BROADCAST), 1);
    EXPECT_EQ(get_option(servers[i], SOL_SOCKET, SO_RCVBUF), 80000);
    if (i == 0) EXPECT_EQ(get_option(clients[i], IPPROTO_IP, IP_MULTICAST_TTL), 9);
    expect_from(servers[i], "one", ports[i][1]);
    expect_from(servers[i], "", ports[i][1]);
    expect_from(servers[i], "three", ports[i][1]);
    expect_from(servers[i], "from a closed one", gone_port[i]);
    EXPECT_EMPTY(servers[i]);
    EXPECT_SEND(clients[i], "more");
    expect_from(servers[i], "more", ports[i][1]);
  }
  return guest_ok();
}
