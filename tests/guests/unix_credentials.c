// SCM_CREDENTIALS of what is unread: the sender is told as before.
#include <sys/wait.h>

#include "guest_socket.h"

static pid_t receive_pid(int fd, const char* text) {
  _Alignas(struct cmsghdr) char control[256];
  char bytes[64];
  struct iovec part = {bytes, sizeof bytes};
  struct msghdr message = {
      .msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  EXPECT_EQ(recvmsg(fd, &message, MSG_DONTWAIT), strlen(text));
  EXPECT(memcmp(bytes, text, strlen(text)) == 0);
  struct cmsghdr* header = CMSG_FIRSTHDR(&message);
  EXPECT(header != NULL && header->cmsg_type == SCM_CREDENTIALS);
  struct ucred credentials;
  memcpy(&credentials, CMSG_DATA(header), sizeof credentials);
  EXPECT_EQ(credentials.uid, getuid());
  return credentials.pid;
}

int main(void) {
  const char* name = own_name("credentials");
  int stream[2], datagrams = unix_bound(SOCK_DGRAM, name), wait_for[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, stream), 0);
  EXPECT_EQ(pipe(wait_for), 0);
  set_option(stream[1], SOL_SOCKET, SO_PASSCRED, 1);
  set_option(datagrams, SOL_SOCKET, SO_PASSCRED, 1);
  EXPECT_SEND(stream[0], "mine");
  pid_t child = fork();
  if (child == 0) {
    int sender = unix_connected(SOCK_DGRAM, name);
    EXPECT_SEND(stream[0], "child's");
    EXPECT_SEND(sender, "datagram");
    close(wait_for[1]);
    char byte;
    while (read(wait_for[0], &byte, 1) < 0) continue;
    _exit(0);
  }
  close(wait_for[0]);
  while ((poll_events(datagrams, POLLIN) & POLLIN) == 0) guest_nap(1);
  guest_ready();
  guest_wait();
  EXPECT_EQ(receive_pid(stream[1], "mine"), getpid());
  EXPECT_EQ(receive_pid(stream[1], "child's"), child);
  EXPECT_EQ(receive_pid(datagrams, "datagram"), child);
  close(wait_for[1]);
  EXPECT_EQ(waitpid(child, NULL, 0), child);
  return guest_ok();
}
