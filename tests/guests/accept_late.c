// A server that is slow to accept: often a request lies in a connection that nobody has accepted
// yet, which nobody but the program can read. The checkpoint waits for the program to accept it.
// roundtrip: state=no delay=0.4
#include <sys/wait.h>

#include "guest_socket.h"

enum { kPort, kName };

static int connect_to(int kind, int port, const char* name) {
  return kind == kPort ? inet_connected(AF_INET, SOCK_STREAM, port)
                       : unix_connected(SOCK_STREAM, name);
}

static void be_client(int kind, int port, const char* name) {
  for (int number = 0; !guest_released(); number++) {
    int fd = connect_to(kind, port, name), answer = 0;
    EXPECT_EQ(send(fd, &number, sizeof number, MSG_NOSIGNAL), sizeof number);
    EXPECT_EQ(recv(fd, &answer, sizeof answer, MSG_WAITALL), sizeof answer);
    EXPECT_EQ(answer, number * 2);
    close(fd);
  }
  close(connect_to(kind, port, name));  // the last one
  _exit(0);
}

static void be_server(int listener) {
  for (;;) {
    guest_nap(8);
    int fd = accept(listener, NULL, NULL), number = 0;
    EXPECT(fd >= 0);
    if (recv(fd, &number, sizeof number, MSG_WAITALL) == 0) _exit(0);
    guest_nap(8);
    number *= 2;
    EXPECT_EQ(send(fd, &number, sizeof number, MSG_NOSIGNAL), sizeof number);
    close(fd);
  }
}

int main(void) {
  const char* name = own_name("late");
  int listeners[2] = {tcp_listener(AF_INET, 5), unix_listener(SOCK_STREAM, name, 5)};
  // As servers do: else a restart may find the port kept by a connection in TIME_WAIT.
  set_option(listeners[kPort], SOL_SOCKET, SO_REUSEADDR, 1);
  int port = own_port(listeners[kPort]);
  for (int kind = kPort; kind <= kName; kind++) {
    if (fork() == 0) be_server(listeners[kind]);
    if (fork() == 0) be_client(kind, port, name);
  }
  guest_nap(20);
  guest_ready();
  for (int left = 4, status; left > 0; left--) {
    EXPECT(wait(&status) > 0);
    EXPECT_EQ(status, 0);
  }
  return guest_ok();
}
