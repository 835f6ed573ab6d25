// Listening UNIX sockets, by relative and absolute path and abstract, with connections that wait.
#include "guest_socket.h"

int main(void) {
  char path[100];
  EXPECT(getcwd(path, 80) != NULL);
  strcat(path, "/absolute");
  const char* names[] = {"relative", path, own_name("listening")};
  int listeners[3], clients[3][2];
  for (int i = 0; i < 3; i++) {
    listeners[i] = unix_listener(i == 1 ? SOCK_SEQPACKET : SOCK_STREAM, names[i], 3 + i);
    if (i < 2) EXPECT_EQ(chmod(names[i], 0640), 0);
    for (int j = 0; j < 2; j++)
      clients[i][j] = unix_connected(i == 1 ? SOCK_SEQPACKET : SOCK_STREAM, names[i]);
  }
  EXPECT_EQ(shutdown(clients[0][1], SHUT_WR), 0);
  int bound = unix_bound(SOCK_STREAM, "bound");
  struct stat about;
  guest_ready();
  guest_wait();
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(get_option(listeners[i], SOL_SOCKET, SO_ACCEPTCONN), 1);
    EXPECT_UNIX_NAME(listeners[i], getsockname, names[i]);
    if (i < 2) EXPECT(stat(names[i], &about) == 0 && (about.st_mode & 0777) == 0640);
    for (int j = 0; j < 2; j++) {
      EXPECT_UNIX_NAME(clients[i][j], getpeername, names[i]);
      int accepted = accept(listeners[i], NULL, NULL);
      EXPECT(accepted >= 0);
      EXPECT_UNIX_NAME(accepted, getsockname, names[i]);
      if (i == 0 && j == 1) EXPECT_EQ(read(accepted, path, 1), 0);
      EXPECT_SEND(accepted, j ? "second" : "first");
      EXPECT_RECV(clients[i][j], j ? "second" : "first");
    }
    int other = unix_connected(i == 1 ? SOCK_SEQPACKET : SOCK_STREAM, names[i]);
    EXPECT(accept(listeners[i], NULL, NULL) >= 0);
    EXPECT_EQ(close(other), 0);
  }
  EXPECT_UNIX_NAME(bound, getsockname, "bound");
  EXPECT_EQ(listen(bound, 1), 0);
  unix_connected(SOCK_STREAM, "bound");
  return guest_ok();
}
