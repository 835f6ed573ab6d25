// POSIX message queues: messages in order with priorities, limits, a queue without a name, a child
// that waits for a message, and a registration for a signal with its value.
#include <mqueue.h>
#include <signal.h>
#include <sys/wait.h>

#include "guest.h"

static volatile sig_atomic_t told;

static void on_message(int number, siginfo_t* info, void* context) {
  (void)number, (void)context;
  if (info->si_code == SI_MESGQ) told = info->si_value.sival_int;
}

static void expect(mqd_t queue, const char* text, unsigned priority) {
  char buffer[64] = "";
  unsigned found = 0;
  EXPECT_EQ(mq_receive(queue, buffer, sizeof buffer, &found), strlen(text));
  EXPECT(strcmp(buffer, text) == 0);
  EXPECT_EQ(found, priority);
}

int main(void) {
  char name[64], other[64];
  snprintf(name, sizeof name, "/ckrun-guest-mq-%d", getpid());
  snprintf(other, sizeof other, "/ckrun-guest-mq2-%d", getpid());
  struct mq_attr attributes = {.mq_maxmsg = 7, .mq_msgsize = 64};
  mqd_t queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_NONBLOCK, 0600, &attributes);
  mqd_t nameless = mq_open(other, O_RDWR | O_CREAT | O_EXCL, 0600, &attributes);
  EXPECT(queue >= 0 && nameless >= 0 && mq_unlink(other) == 0);
  EXPECT_EQ(fchmod(queue, 0640), 0);
  pid_t child = fork();
  if (child == 0) {
    expect(nameless, "to the child", 1);  // waits during the checkpoint
    EXPECT_EQ(mq_send(nameless, "answer", 6, 0), 0);
    _exit(9);
  }
  EXPECT(mq_send(queue, "first", 5, 2) == 0 && mq_send(queue, "second", 6, 2) == 0);
  EXPECT(mq_send(queue, "urgent", 6, 30) == 0 && mq_send(queue, "", 0, 0) == 0);
  mqd_t reader = mq_open(name, O_RDONLY);
  struct sigaction action = {.sa_sigaction = on_message, .sa_flags = SA_SIGINFO};
  sigaction(SIGUSR1, &action, 0);
  struct sigevent event = {
      .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1, .sigev_value.sival_int = 4711};
  EXPECT_EQ(mq_notify(queue, &event), 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(told, 0);
  struct stat about;
  EXPECT(fstat(queue, &about) == 0 && (about.st_mode & 07777) == 0640);
  EXPECT(mq_getattr(queue, &attributes) == 0 && attributes.mq_flags == O_NONBLOCK);
  EXPECT(attributes.mq_maxmsg == 7 && attributes.mq_msgsize == 64 && attributes.mq_curmsgs == 4);
  expect(queue, "urgent", 30);
  expect(queue, "first", 2);
  expect(reader, "second", 2);
  expect(queue, "", 0);
  char buffer[64];
  EXPECT(mq_receive(queue, buffer, sizeof buffer, 0) == -1 && errno == EAGAIN);
  EXPECT_EQ(mq_send(queue, "bell", 4, 0), 0);
  EXPECT_EQ(told, 4711);
  EXPECT_EQ(mq_send(nameless, "to the child", 12, 1), 0);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  expect(nameless, "answer", 0);
  mqd_t again = mq_open(name, O_RDONLY);
  EXPECT(again >= 0);
  expect(again, "bell", 0);
  EXPECT(mq_unlink(name) == 0 && mq_unlink(other) == -1);
  return guest_ok();
}
