// A server that is slow to accept: often a request lies in a connection that nobody has accepted
// yet, which nobody but the program can read. The checkpoint waits for the program to accept it.
// roundtrip: state=no delay=0.4
#include <sys/wait.h>

#include "guest_socket.h"

enum { kPort, kName };

// The harness kills process after process: the other end may be the first.
static void expect_alive(int condition) {
  if (condition) return;
  guest_nap(3000);
  guest_fail("the other end has gone");
}

static int connect_to(int kind, int port, const char* name) {
  struct sockaddr_un address;
  socklen_t length = unix_address(&address, name);
  int fd = socket(kind == kPort ? AF_INET : AF_UNIX, SOCK_STREAM, 0);
  expect_alive((kind == kPort ? inet_connect(fd, AF_INET, port)
                              : connect(fd, (struct sockaddr*)&address, length)) == 0);
  return fd;
}

static void be_client(int kind, int port, const char* name) {
  for (int number = 0; !guest_released(); number++) {
    int fd = connect_to(kind, port, name), answer = 0;
    expect_alive(send(fd, &number, sizeof number, MSG_NOSIGNAL) == sizeof number);
    expect_alive(recv(fd, &answer, sizeof answer, MSG_WAITALL) == sizeof answer);
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
    ssize_t got = recv(fd, &number, sizeof number, MSG_WAITALL);
    if (got == 0 && guest_released()) _exit(0);
    expect_alive(got == sizeof number);
    guest_nap(8);
    number *= 2;
    expect_alive(send(fd, &number, sizeof number, MSG_NOSIGNAL) == sizeof number);
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
