// recvmmsg without a time-out goes on waiting on a socket pair.
// roundtrip: delay=0.4
#include <pthread.h>
#include <sys/socket.h>

#include "guest.h"

static volatile int woken;
static int ends[2];

static void* block(void* unused) {
  char text[2][16] = {{0}};
  struct iovec parts[2] = {{text[0], 16}, {text[1], 16}};
  struct mmsghdr messages[2] = {{.msg_hdr = {.msg_iov = &parts[0], .msg_iovlen = 1}},
                                {.msg_hdr = {.msg_iov = &parts[1], .msg_iovlen = 1}}};
  EXPECT_EQ(recvmmsg(ends[0], messages, 2, 0, 0), 2);
  EXPECT(strcmp(text[0], "a") == 0 && strcmp(text[1], "bc") == 0);
  EXPECT(messages[0].msg_len == 2 && messages[1].msg_len == 3);
  woken = 1;
  return unused;
}

int main(void) {
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
  pthread_t thread;
  pthread_create(&thread, 0, block, 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(woken, 0);
  EXPECT_EQ(write(ends[1], "a", 2), 2);
  guest_nap(20);
  EXPECT_EQ(write(ends[1], "bc", 3), 3);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(woken, 1);
  return guest_ok();
}
