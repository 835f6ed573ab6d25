// A full POSIX message queue, and a child that waits for room in it.
#include <mqueue.h>
#include <sys/wait.h>

#include "guest.h"

int main(void) {
  char name[64], text[64];
  snprintf(name, sizeof name, "/ckrun-guest-full-%d", getpid());
  struct mq_attr attributes = {.mq_maxmsg = 8, .mq_msgsize = sizeof text};
  mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
  EXPECT(queue >= 0);
  for (int i = 0; i < 8; i++) {
    int length = snprintf(text, sizeof text, "message %d", i);
    EXPECT_EQ(mq_send(queue, text, (size_t)length, 0), 0);
  }
  pid_t child = fork();
  if (child == 0) _exit(mq_send(queue, "message 8", 9, 0) == 0 ? 0 : 1);
  guest_ready();
  guest_wait();
  for (int i = 0; i <= 8; i++) {
    char expected[64];
    snprintf(expected, sizeof expected, "message %d", i);
    EXPECT_EQ(mq_receive(queue, text, sizeof text, 0), strlen(expected));
    EXPECT(memcmp(text, expected, strlen(expected)) == 0);
  }
  int status = 1;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(mq_unlink(name), 0);
  return guest_ok();
}
