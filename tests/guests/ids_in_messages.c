// Ids in messages of several at once, owners of sockets, and paths of processes that newer and
// fortified calls take.
#define _FORTIFY_SOURCE 2
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "guest.h"

static void check_credentials(const int* ends) {
  struct mmsghdr messages[2];
  union {
    struct cmsghdr header;
    char room[CMSG_SPACE(sizeof(struct ucred))];
  } control[2];
  char bytes[2] = {'a', 'b'};
  struct iovec parts[2];
  memset(messages, 0, sizeof messages);
  memset(control, 0, sizeof control);
  for (int i = 0; i < 2; i++) {
    const struct ucred own = {getpid(), getuid(), getgid()};
    parts[i] = (struct iovec){&bytes[i], 1};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_control = &control[i];
    messages[i].msg_hdr.msg_controllen = sizeof control[i];
    control[i].header = (struct cmsghdr){CMSG_LEN(sizeof own), SOL_SOCKET, SCM_CREDENTIALS};
    memcpy(CMSG_DATA(&control[i].header), &own, sizeof own);
  }
  EXPECT_EQ(sendmmsg(ends[0], messages, 2, 0), 2);
  memset(control, 0, sizeof control);
  EXPECT_EQ(recvmmsg(ends[1], messages, 2, 0, 0), 2);
  for (int i = 0; i < 2; i++) {
    struct ucred told;
    memcpy(&told, CMSG_DATA(&control[i].header), sizeof told);
    EXPECT_EQ(told.pid, getpid());
  }
}

static void check_owner(int fd, pid_t child) {
  const int owners[] = {child, -getpgrp(), getpid()};
  for (int i = 0; i < 3; i++) {
    int now = 0;
    EXPECT_EQ(ioctl(fd, i == 0 ? SIOCSPGRP : FIOSETOWN, &owners[i]), 0);
    EXPECT_EQ(ioctl(fd, SIOCGPGRP, &now), 0);
    EXPECT_EQ(now, owners[i]);
    EXPECT_EQ(ioctl(fd, FIOGETOWN, &now), 0);
    EXPECT_EQ(now, owners[i]);
  }
}

static void check_paths(pid_t child) {
  char path[64], text[64];
  struct statx about;
  volatile int flags = O_RDONLY;  // not known when this is compiled
  snprintf(path, sizeof path, "/proc/%d/stat", child);
  EXPECT_EQ(statx(AT_FDCWD, path, 0, STATX_TYPE, &about), 0);
  const int fd = open(path, flags);
  EXPECT(fd >= 0);
  close(fd);
  const int again = openat(AT_FDCWD, path, flags);
  EXPECT(again >= 0);
  close(again);
  snprintf(path, sizeof path, "/proc/%d", child);
  EXPECT_EQ(chdir(path), 0);
  EXPECT_EQ(access("stat", R_OK), 0);
  EXPECT_EQ(chdir("/"), 0);
  snprintf(path, sizeof path, "/proc/%d/cwd", child);
  volatile size_t size = sizeof text;
  EXPECT_EQ(readlink(path, text, size), 1);
}

int main(void) {
  int ends[2], on = 1;
  EXPECT_EQ(chdir("/"), 0);
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
  EXPECT_EQ(setsockopt(ends[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on), 0);
  const pid_t child = fork();
  if (child == 0)
    for (;;) pause();
  guest_ready();
  guest_wait();
  check_credentials(ends);
  check_owner(ends[0], child);
  check_paths(child);
  EXPECT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(waitpid(child, 0, 0), child);
  return guest_ok();
}
