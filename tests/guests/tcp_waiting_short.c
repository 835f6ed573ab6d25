// Connections that wait to be accepted; soon after they are accepted and closed, by the clients
// first. Whoever is restarted then finds their address pairs in TIME_WAIT.
// roundtrip: state=no
#include "guest_socket.h"

enum { kClients = 16 };

int main(void) {
  int listener = tcp_listener(AF_INET, kClients), port = own_port(listener);
  set_option(listener, SOL_SOCKET, SO_REUSEADDR, 1);
  guest_ready();
  do {
    int clients[kClients];
    for (int i = 0; i < kClients; i++) clients[i] = inet_connected(AF_INET, SOCK_STREAM, port);
    guest_nap(15);
    for (int i = 0; i < kClients; i++) {  // in the order in which they connected, or were restored
      int accepted = accept(listener, NULL, NULL), which = 0;
      EXPECT(accepted >= 0);
      while (which < kClients - 1 &&
             (clients[which] < 0 || own_port(clients[which]) != peer_port(accepted)))
        which++;
      EXPECT_EQ(own_port(clients[which]), peer_port(accepted));
      EXPECT_EQ(peer_port(clients[which]), port);
      EXPECT_SEND(clients[which], "to the server");
      EXPECT_RECV(accepted, "to the server");
      close(clients[which]);
      close(accepted);
      clients[which] = -1;
    }
  } while (!guest_released());
  return guest_ok();
}
