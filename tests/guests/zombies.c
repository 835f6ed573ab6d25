// Children that have ended and were not waited for: their statuses are still there.
#include <signal.h>
#include <sys/wait.h>

#include "guest.h"

static volatile int notices;
static void on_child(int number) {
  notices += number == SIGCHLD;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART};
  sigaction(SIGCHLD, &action, 0);
  pid_t by_exit = fork();
  if (by_exit == 0) _exit(42);
  pid_t by_signal = fork();
  if (by_signal == 0) {
    raise(SIGTERM);
    _exit(1);
  }
  pid_t by_kill = fork();
  if (by_kill == 0) {
    raise(SIGKILL);
    _exit(1);
  }
  siginfo_t info;
  EXPECT_EQ(waitid(P_PID, (id_t)by_exit, &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(waitid(P_PID, (id_t)by_signal, &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(waitid(P_PID, (id_t)by_kill, &info, WEXITED | WNOWAIT), 0);
  int before = notices;
  guest_ready();
  guest_wait();
  EXPECT_EQ(notices, before);  // the restart tells nothing twice
  int status = 0;
  EXPECT_EQ(waitpid(by_exit, &status, WNOHANG), by_exit);
  EXPECT(WIFEXITED(status) && WEXITSTATUS(status) == 42);
  EXPECT_EQ(waitpid(by_signal, &status, WNOHANG), by_signal);
  EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
  EXPECT_EQ(waitpid(by_kill, &status, WNOHANG), by_kill);
  EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
  EXPECT(wait(0) == -1 && errno == ECHILD);
  return guest_ok();
}
