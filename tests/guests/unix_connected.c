// Connections through a listener: names, credentials and unread bytes at both ends; half-closed;
// with one end gone; after the listener and its file are gone.
#include "guest_socket.h"

static int listener;

static void join(int ends[2], const char* name) {
  ends[0] = unix_connected(SOCK_STREAM, name);
  ends[1] = accept(listener, NULL, NULL);
  EXPECT(ends[1] >= 0);
}

static void check(int ends[2], const char* name) {
  struct ucred peer;
  socklen_t length = sizeof peer;
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(getsockopt(ends[i], SOL_SOCKET, SO_PEERCRED, &peer, &length), 0);
    EXPECT_EQ(peer.pid, getpid());
    EXPECT_EQ(peer.uid, getuid());
  }
  EXPECT_UNIX_NAME(ends[0], getsockname, "");
  EXPECT_UNIX_NAME(ends[0], getpeername, name);
  EXPECT_UNIX_NAME(ends[1], getsockname, name);
  EXPECT_UNIX_NAME(ends[1], getpeername, "");
}

int main(void) {
  const char* abstract = own_name("connected");
  int plain[2], half[2], left[2], right[2], gone[2];
  char byte;
  listener = unix_listener(SOCK_STREAM, abstract, 5);
  join(half, abstract);
  close(listener);
  listener = unix_listener(SOCK_STREAM, "gone", 5);
  join(gone, "gone");
  close(listener);
  EXPECT_EQ(unlink("gone"), 0);
  listener = unix_listener(SOCK_STREAM, "path", 5);
  join(plain, "path");
  join(left, "path");
  join(right, "path");
  EXPECT_SEND(plain[0], "to the server");
  EXPECT_SEND(plain[1], "to the client");
  EXPECT_SEND(half[0], "last words");
  EXPECT_EQ(shutdown(half[0], SHUT_WR), 0);
  EXPECT_SEND(left[1], "to who stays");
  close(left[1]);
  EXPECT_SEND(right[0], "to who stays");
  close(right[0]);
  guest_ready();
  guest_wait();
  check(plain, "path");
  check(half, abstract);
  check(gone, "gone");
  EXPECT(access("gone", F_OK) != 0);
  EXPECT_RECV(plain[1], "to the server");
  EXPECT_RECV(plain[0], "to the client");
  EXPECT_EMPTY(plain[0]);
  EXPECT_RECV(half[1], "last words");
  EXPECT_EQ(read(half[1], &byte, 1), 0);
  EXPECT_SEND(half[1], "still open");
  EXPECT_RECV(half[0], "still open");
  EXPECT_RECV(left[0], "to who stays");
  EXPECT_EQ(read(left[0], &byte, 1), 0);
  EXPECT_EQ(send(left[0], "x", 1, MSG_NOSIGNAL), -1);
  EXPECT_EQ(errno, EPIPE);
  EXPECT_RECV(right[1], "to who stays");
  EXPECT_EQ(read(right[1], &byte, 1), 0);
  EXPECT_UNIX_NAME(left[0], getpeername, "path");
  EXPECT_SEND(gone[0], "works");
  EXPECT_RECV(gone[1], "works");
  join(plain, "path");
  return guest_ok();
}
