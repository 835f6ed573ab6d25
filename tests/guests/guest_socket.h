// What guests with sockets use.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "guest.h"

// "@name" is abstract, anything else a path.
static inline socklen_t unix_address(struct sockaddr_un* address, const char* name) {
  memset(address, 0, sizeof *address);
  address->sun_family = AF_UNIX;
  strcpy(address->sun_path, name);
  if (name[0] == '@') {
    address->sun_path[0] = 0;
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
  }
  return sizeof *address;
}

// "@" names are the host's: they carry the pid.
static inline const char* own_name(const char* text) {
  static char names[8][64];
  static int next;
  char* name = names[next++ % 8];
  snprintf(name, sizeof names[0], "@ckrun-%d-%s", (int)getpid(), text);
  return name;
}

static inline int unix_bound(int type, const char* name) {
  struct sockaddr_un address;
  socklen_t length = unix_address(&address, name);
  int fd = socket(AF_UNIX, type, 0);
  EXPECT(fd >= 0);
  EXPECT_EQ(bind(fd, (struct sockaddr*)&address, length), 0);
  return fd;
}

static inline int unix_listener(int type, const char* name, int backlog) {
  int fd = unix_bound(type, name);
  EXPECT_EQ(listen(fd, backlog), 0);
  return fd;
}

static inline void unix_connect_to(int fd, const char* name) {
  struct sockaddr_un address;
  socklen_t length = unix_address(&address, name);
  EXPECT_EQ(connect(fd, (struct sockaddr*)&address, length), 0);
}

static inline int unix_connected(int type, const char* name) {
  int fd = socket(AF_UNIX, type, 0);
  EXPECT(fd >= 0);
  unix_connect_to(fd, name);
  return fd;
}

static inline int unix_is_named(const struct sockaddr_un* address, socklen_t length,
                                const char* name) {
  size_t bytes = length - offsetof(struct sockaddr_un, sun_path);
  if (name[0] == 0) return bytes == 0;
  if (name[0] == '@')
    return bytes == strlen(name) && memcmp(address->sun_path + 1, name + 1, bytes - 1) == 0;
  return strcmp(address->sun_path, name) == 0;
}

#define EXPECT_UNIX_NAME(fd, call, name)                      \
  do {                                                        \
    struct sockaddr_un own_a;                                 \
    socklen_t own_l = sizeof own_a;                           \
    memset(&own_a, 0, sizeof own_a);                          \
    EXPECT_EQ(call(fd, (struct sockaddr*)&own_a, &own_l), 0); \
    EXPECT(unix_is_named(&own_a, own_l, name));               \
  } while (0)

#define EXPECT_SEND(fd, text) EXPECT_EQ(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text))
#define EXPECT_RECV(fd, text)                                               \
  do {                                                                      \
    char recv_b[256] = "";                                                  \
    EXPECT_EQ(recv(fd, recv_b, sizeof recv_b, MSG_DONTWAIT), strlen(text)); \
    EXPECT(memcmp(recv_b, text, strlen(text)) == 0);                        \
  } while (0)
#define EXPECT_EMPTY(fd)                                          \
  do {                                                            \
    char recv_b[1];                                               \
    EXPECT_EQ(recv(fd, recv_b, sizeof recv_b, MSG_DONTWAIT), -1); \
    EXPECT_EQ(errno, EAGAIN);                                     \
  } while (0)

static inline int poll_events(int fd, short events) {
  struct pollfd one = {fd, events, 0};
  EXPECT(poll(&one, 1, 0) >= 0);
  return one.revents;
}

static inline int get_option(int fd, int level, int name) {
  int value = -1;
  socklen_t length = sizeof value;
  EXPECT_EQ(getsockopt(fd, level, name, &value, &length), 0);
  return value;
}
static inline void set_option(int fd, int level, int name, int value) {
  EXPECT_EQ(setsockopt(fd, level, name, &value, sizeof value), 0);
}
