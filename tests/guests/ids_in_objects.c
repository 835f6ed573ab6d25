// Ids that kernel objects hold: owners of descriptors, holders of locks, peers of sockets. It asks
// all the time, so no two looks at it agree.
// roundtrip: state=no
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "guest.h"

static void check_owner(int fd, pid_t child) {
  EXPECT_EQ(fcntl(fd, F_SETOWN, child), 0);
  EXPECT_EQ(fcntl(fd, F_GETOWN), child);
  EXPECT_EQ(fcntl(fd, F_SETOWN, -getpgrp()), 0);
  EXPECT_EQ(fcntl(fd, F_GETOWN), -getpgrp());
  struct f_owner_ex owner = {F_OWNER_TID, gettid()}, seen;
  EXPECT_EQ(fcntl(fd, F_SETOWN_EX, &owner), 0);
  EXPECT_EQ(fcntl(fd, F_GETOWN_EX, &seen), 0);
  EXPECT_EQ(seen.pid, gettid());
}

static void check_lock(int fd, pid_t child) {
  struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 4};
  EXPECT_EQ(fcntl(fd, F_GETLK, &range), 0);
  EXPECT_EQ(range.l_type, F_WRLCK);
  EXPECT_EQ(range.l_pid, child);
}

static void check_peer(void) {
  int ends[2];
  struct ucred peer;
  socklen_t size = sizeof peer;
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  EXPECT_EQ(getsockopt(ends[0], SOL_SOCKET, SO_PEERCRED, &peer, &size), 0);
  EXPECT_EQ(peer.pid, getpid());
  close(ends[0]);
  close(ends[1]);
}

int main(void) {
  int fd = guest_file("locked", "text"), pipe_ends[2], told[2];
  EXPECT_EQ(setpgid(0, 0), 0);  // that of the restart (--pids real) may change between two calls
  EXPECT_EQ(pipe(pipe_ends), 0);
  EXPECT_EQ(pipe(told), 0);
  pid_t child = fork();
  if (child == 0) {
    struct flock range = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 0, .l_len = 4};
    EXPECT_EQ(fcntl(fd, F_SETLK, &range), 0);
    EXPECT_EQ(write(told[1], "x", 1), 1);
    for (;;) pause();
  }
  char byte;
  EXPECT_EQ(read(told[0], &byte, 1), 1);
  guest_ready();
  do {
    check_owner(pipe_ends[0], child);
    check_lock(fd, child);
    check_peer();
  } while (!guest_released());
  kill(child, SIGKILL);
  EXPECT_EQ(waitpid(child, 0, 0), child);
  return guest_ok();
}
