// An eventfd, a timerfd and a signalfd that two processes share: one counter, one timer, and each
// process reads its own signals.
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include "guest.h"

static uint64_t number_from(int fd) {
  uint64_t value = 0;
  EXPECT_EQ(read(fd, &value, sizeof value), sizeof value);
  return value;
}

static void add(int fd, uint64_t value) {
  EXPECT_EQ(write(fd, &value, sizeof value), sizeof value);
}

int main(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, 0);
  int to_child = eventfd(0, 0), to_parent = eventfd(0, EFD_SEMAPHORE);
  int timer = timerfd_create(CLOCK_MONOTONIC, 0), signals = signalfd(-1, &set, 0);
  struct itimerspec half = {.it_value.tv_nsec = 1, .it_interval.tv_sec = 1000};
  EXPECT_EQ(timerfd_settime(timer, 0, &half, 0), 0);
  pid_t child = fork();
  if (child == 0) {
    struct signalfd_siginfo info;
    EXPECT_EQ(number_from(to_child), 5);  // waits during the checkpoint
    EXPECT_EQ(read(signals, &info, sizeof info), sizeof info);
    EXPECT_EQ(info.ssi_int, 11);
    EXPECT_EQ(number_from(timer), 1);
    add(to_parent, 2);
    _exit(9);
  }
  sigqueue(child, SIGUSR1, (union sigval){.sival_int = 11});
  sigqueue(getpid(), SIGUSR1, (union sigval){.sival_int = 22});
  guest_ready();
  guest_wait();
  struct signalfd_siginfo info;
  EXPECT_EQ(read(signals, &info, sizeof info), sizeof info);
  EXPECT_EQ(info.ssi_int, 22);
  add(to_child, 5);
  EXPECT_EQ(number_from(to_parent), 1);
  EXPECT_EQ(number_from(to_parent), 1);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  fcntl(timer, F_SETFL, O_NONBLOCK);
  uint64_t none;
  EXPECT(read(timer, &none, sizeof none) == -1 && errno == EAGAIN);
  return guest_ok();
}
