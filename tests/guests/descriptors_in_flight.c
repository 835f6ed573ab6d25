// Descriptors that were passed over a socket pair, and received after the checkpoint: a pipe's
// writer, of which the program has no other descriptor, among bytes sent before and after.
// roundtrip: check=no
#include <sys/socket.h>

#include "guest.h"

static void pass(int socket, const char* text, int fd) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {0};
  struct iovec part = {(void*)text, strlen(text)};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof fd);
  memcpy(CMSG_DATA(header), &fd, sizeof fd);
  EXPECT_EQ(sendmsg(socket, &message, 0), (ssize_t)strlen(text));
  close(fd);
}

static int receive(int socket, const char* expected, size_t most) {
  char text[64] = "";
  int fd = -1;
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {0};
  struct iovec part = {text, most};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  EXPECT_EQ(recvmsg(socket, &message, 0), (ssize_t)strlen(expected));
  EXPECT(memcmp(text, expected, strlen(expected)) == 0);
  if (CMSG_FIRSTHDR(&message) != NULL) memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
  return fd;
}

int main(void) {
  int stream[2], packets[2], pipe_ends[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, packets), 0);
  EXPECT_EQ(pipe(pipe_ends), 0);
  EXPECT_EQ(write(stream[0], "before", 6), 6);
  pass(stream[0], "with", pipe_ends[1]);
  EXPECT_EQ(write(stream[0], "after", 5), 5);
  pass(packets[0], "packet", dup(packets[1]));
  guest_ready();
  guest_wait();
  EXPECT_EQ(receive(stream[1], "before", 6), -1);
  int writer = receive(stream[1], "with", 64);
  EXPECT(writer >= 0);
  EXPECT_EQ(receive(stream[1], "after", 64), -1);
  EXPECT_EQ(write(writer, "through", 7), 7);
  EXPECT_EQ(close(writer), 0);
  char text[64];
  EXPECT_EQ(read(pipe_ends[0], text, sizeof text), 7);
  EXPECT_EQ(read(pipe_ends[0], text, sizeof text), 0);
  int end = receive(packets[1], "packet", 64);
  EXPECT(end >= 0);
  EXPECT_EQ(write(packets[0], "more", 4), 4);
  EXPECT_EQ(read(end, text, sizeof text), 4);
  return guest_ok();
}
