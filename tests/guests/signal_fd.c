// signalfd: its set of signals, a signal that waits in it, and one that comes later.
#include <signal.h>
#include <sys/signalfd.h>

#include "guest.h"

int main(void) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigaddset(&set, SIGRTMIN + 4);
  sigprocmask(SIG_BLOCK, &set, 0);
  int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
  sigqueue(getpid(), SIGRTMIN + 4, (union sigval){.sival_int = 321});
  guest_ready();
  guest_wait();
  struct signalfd_siginfo info;
  EXPECT_EQ(read(fd, &info, sizeof info), sizeof info);
  EXPECT_EQ(info.ssi_signo, SIGRTMIN + 4);
  EXPECT_EQ(info.ssi_int, 321);
  EXPECT(read(fd, &info, sizeof info) == -1 && errno == EAGAIN);
  raise(SIGUSR1);
  EXPECT_EQ(read(fd, &info, sizeof info), sizeof info);
  EXPECT_EQ(info.ssi_signo, SIGUSR1);
  EXPECT_EQ(fcntl(fd, F_GETFD), FD_CLOEXEC);
  return guest_ok();
}
