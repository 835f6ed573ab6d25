// SIGCHLD, blocked and pending, tells of the same child after a restart; none is added for children
// that were made again. The same with a child whose end is told by SIGUSR1.
#include <signal.h>
#include <sys/wait.h>

#include "guest.h"

static pid_t start(int exit_signal, int status) {
  pid_t child = (pid_t)guest_raw(SYS_clone, exit_signal, 0, 0, 0, 0, 0);
  if (child != 0) return child;
  if (status) _exit(status);
  for (;;) pause();
}

static void wait_for_end(pid_t child) {
  siginfo_t info;
  EXPECT_EQ(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT | __WALL), 0);
}

int main(void) {
  sigset_t set;
  siginfo_t info;
  struct timespec none = {0, 0};
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, 0);
  pid_t quiet = start(SIGUSR1, 81);
  wait_for_end(quiet);
  EXPECT_EQ(sigtimedwait(&set, &info, &none), SIGUSR1);  // heard of, but not collected
  pid_t waiting = start(SIGCHLD, 0), stopped = start(SIGCHLD, 0);
  EXPECT_EQ(kill(stopped, SIGSTOP), 0);
  EXPECT_EQ(waitid(P_PID, (id_t)stopped, &info, WSTOPPED), 0);
  EXPECT_EQ(sigtimedwait(&set, &info, &none), SIGCHLD);
  pid_t ended = start(SIGCHLD, 82);
  wait_for_end(ended);
  guest_ready();
  guest_wait();
  EXPECT_EQ(sigtimedwait(&set, &info, &none), SIGCHLD);
  EXPECT(info.si_pid == ended && info.si_status == 82 && info.si_code == CLD_EXITED);
  EXPECT(sigtimedwait(&set, &info, &none) == -1 && errno == EAGAIN);
  EXPECT(kill(waiting, SIGKILL) == 0 && kill(stopped, SIGKILL) == 0);
  int status;
  EXPECT_EQ(waitpid(waiting, &status, 0), waiting);
  EXPECT_EQ(waitpid(stopped, &status, 0), stopped);
  EXPECT(waitpid(ended, &status, 0) == ended && WEXITSTATUS(status) == 82);
  EXPECT(waitpid(quiet, &status, __WALL) == quiet && WEXITSTATUS(status) == 81);
  EXPECT_EQ(sigtimedwait(&set, &info, &none), SIGCHLD);
  return guest_ok();
}
