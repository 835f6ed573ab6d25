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

// Loopback addresses with a port, or 0.
static inline socklen_t inet_address(struct sockaddr_storage* address, int family, int port) {
  memset(address, 0, sizeof *address);
  address->ss_family = (sa_family_t)family;
  if (family == AF_INET) {
    struct sockaddr_in* in = (struct sockaddr_in*)address;
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    in->sin_port = htons((uint16_t)port);
    return sizeof *in;
  }
  struct sockaddr_in6* in6 = (struct sockaddr_in6*)address;
  in6->sin6_addr = in6addr_loopback;
  in6->sin6_port = htons((uint16_t)port);
  return sizeof *in6;
}

typedef int (*NameCall)(int, struct sockaddr*, socklen_t*);
static inline int port_of(int fd, NameCall call) {
  struct sockaddr_storage address;
  socklen_t length = sizeof address;
  EXPECT_EQ(call(fd, (struct sockaddr*)&address, &length), 0);
  return ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in*)&address)->sin_port
                                            : ((struct sockaddr_in6*)&address)->sin6_port);
}
static inline int own_getsockname(int fd, struct sockaddr* address, socklen_t* length) {
  return getsockname(fd, address, length);
}
static inline int own_getpeername(int fd, struct sockaddr* address, socklen_t* length) {
  return getpeername(fd, address, length);
}
static inline int own_port(int fd) {
  return port_of(fd, own_getsockname);
}
static inline int peer_port(int fd) {
  return port_of(fd, own_getpeername);
}

static inline int inet_bound(int family, int type) {
  struct sockaddr_storage address;
  socklen_t length = inet_address(&address, family, 0);
  int fd = socket(family, type, 0);
  EXPECT(fd >= 0);
  EXPECT_EQ(bind(fd, (struct sockaddr*)&address, length), 0);
  return fd;
}
static inline int tcp_listener(int family, int backlog) {
  int fd = inet_bound(family, SOCK_STREAM);
  EXPECT_EQ(listen(fd, backlog), 0);
  return fd;
}
static inline int inet_connect(int fd, int family, int port) {
  struct sockaddr_storage address;
  socklen_t length = inet_address(&address, family, port);
  return connect(fd, (struct sockaddr*)&address, length);
}
static inline int inet_connected(int family, int type, int port) {
  int fd = socket(family, type, 0);
  EXPECT(fd >= 0);
  EXPECT_EQ(inet_connect(fd, family, port), 0);
  return fd;
}
// ends[0] connects, ends[1] is accepted.
static inline void tcp_pair(int listener, int family, int ends[2]) {
  ends[0] = inet_connected(family, SOCK_STREAM, own_port(listener));
  ends[1] = accept(listener, NULL, NULL);
  EXPECT(ends[1] >= 0);
}
