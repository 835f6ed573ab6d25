// SIGSYS is the program's own: blocked, pending in its mind, handled, ignored, and deadly.
#include <signal.h>
#include <sys/wait.h>

#include "guest.h"

static volatile sig_atomic_t handled;

static void handle(int number) {
  handled = number;
}

static int blocked(void) {
  sigset_t now;
  EXPECT_EQ(sigprocmask(SIG_SETMASK, 0, &now), 0);
  return sigismember(&now, SIGSYS);
}

int main(void) {
  struct sigaction action = {0}, seen;
  action.sa_handler = handle;
  sigaction(SIGSYS, &action, 0);
  sigset_t all, none;
  sigfillset(&all);
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &all, 0);
  guest_ready();
  while (!guest_released()) {
    EXPECT_EQ(blocked(), 1);
    EXPECT(getpid() > 0 && getppid() > 0);
    guest_nap(1);
  }
  EXPECT_EQ(blocked(), 1);
  sigprocmask(SIG_SETMASK, &none, 0);
  EXPECT_EQ(blocked(), 0);
  EXPECT_EQ(sigaction(SIGSYS, 0, &seen), 0);
  EXPECT(seen.sa_handler == handle);
  EXPECT_EQ(raise(SIGSYS), 0);
  EXPECT_EQ(handled, SIGSYS);
  signal(SIGSYS, SIG_IGN);
  EXPECT_EQ(raise(SIGSYS), 0);
  pid_t child = fork();
  if (child == 0) {
    signal(SIGSYS, SIG_DFL);
    raise(SIGSYS);
    _exit(1);
  }
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGSYS);
  return guest_ok();
}
