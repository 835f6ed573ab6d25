// A child that wants a signal when its parent ends gets it after the restart, and not before.
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "guest.h"

int main(void) {
  int report[2];
  EXPECT_EQ(pipe(report), 0);
  pid_t parent = fork();
  if (parent == 0) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, 0);
    if (fork() == 0) {
      siginfo_t info;
      int wanted = 0;
      EXPECT_EQ(prctl(PR_SET_PDEATHSIG, SIGUSR2), 0);
      EXPECT_EQ(write(report[1], "r", 1), 1);
      EXPECT_EQ(sigwaitinfo(&set, &info), SIGUSR2);
      EXPECT_EQ(prctl(PR_GET_PDEATHSIG, &wanted), 0);
      EXPECT_EQ(wanted, SIGUSR2);
      EXPECT_EQ(write(report[1], guest_released() ? "k" : "e", 1), 1);
      _exit(0);
    }
    guest_wait();
    _exit(0);
  }
  char byte;
  close(report[1]);
  EXPECT(read(report[0], &byte, 1) == 1 && byte == 'r');
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(waitpid(parent, 0, 0), parent);
  EXPECT_EQ(read(report[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'k');
  return guest_ok();
}
