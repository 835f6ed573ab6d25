// SO_PEERCRED between processes: each end is told who made the other one.
#include <sys/wait.h>

#include "guest_socket.h"

static pid_t peer(int fd) {
  struct ucred credentials;
  socklen_t size = sizeof credentials;
  EXPECT_EQ(getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size), 0);
  return credentials.pid;
}

// Two connections to the server: of one the server's end is closed, and the listener too.
static void client(const char* name, const char* gone, int pair, pid_t server) {
  int connected = unix_connected(SOCK_STREAM, name);
  int alone = unix_connected(SOCK_STREAM, gone);
  EXPECT_SEND(pair, "connected");
  guest_wait();
  EXPECT_EQ(peer(pair), server);
  EXPECT_EQ(peer(connected), server);
  EXPECT_EQ(peer(alone), server);
  _exit(0);
}

int main(void) {
  const char *name = own_name("peer"), *gone = own_name("gone");
  int listener = unix_listener(SOCK_STREAM, name, 5), other = unix_listener(SOCK_STREAM, gone, 5);
  int pair[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
  pid_t server = getpid(), child = fork();
  if (child == 0) {
    close(listener);
    close(other);
    close(pair[0]);
    client(name, gone, pair[1], server);
  }
  close(pair[1]);
  int accepted = accept(listener, NULL, NULL);
  char told[16];
  EXPECT_EQ(read(pair[0], told, sizeof told), 9);
  int closed = accept(other, NULL, NULL);
  close(closed);
  close(other);
  EXPECT(accepted >= 0 && closed >= 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(peer(listener), server);
  EXPECT_EQ(peer(accepted), child);
  EXPECT_EQ(peer(pair[0]), server);
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return guest_ok();
}
