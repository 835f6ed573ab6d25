// Children made by clone(2) whose end is told by SIGUSR1, or by no signal at all.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

static volatile int usr1, chld;
static volatile int* may_end;  // shared
static void note(int number) {
  if (number == SIGUSR1) usr1++;
  if (number == SIGCHLD) chld++;
}

static pid_t start(int exit_signal, int status) {
  pid_t child = (pid_t)guest_raw(SYS_clone, exit_signal, 0, 0, 0, 0, 0);
  if (child != 0) return child;
  while (!*may_end) guest_nap(1);
  _exit(status);
}

int main(void) {
  struct sigaction action = {.sa_handler = note, .sa_flags = SA_RESTART};
  may_end = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  sigaction(SIGUSR1, &action, 0);
  sigaction(SIGCHLD, &action, 0);
  pid_t silent = start(0, 61), loud = start(SIGUSR1, 62), usual = start(SIGCHLD, 63);
  pid_t ended = (pid_t)guest_raw(SYS_clone, 0, 0, 0, 0, 0, 0);
  if (ended == 0) _exit(64);
  guest_nap(20);
  guest_ready();
  guest_wait();
  int status;
  EXPECT_EQ(usr1 + chld, 0);
  *may_end = 1;
  EXPECT(waitpid(silent, &status, 0) == -1 && errno == ECHILD);  // not without __WALL
  EXPECT_EQ(waitpid(silent, &status, __WALL), silent);
  EXPECT_EQ(WEXITSTATUS(status), 61);
  EXPECT_EQ(waitpid(loud, &status, __WCLONE), loud);
  EXPECT_EQ(WEXITSTATUS(status), 62);
  EXPECT_EQ(waitpid(usual, &status, 0), usual);
  EXPECT_EQ(WEXITSTATUS(status), 63);
  EXPECT_EQ(waitpid(ended, &status, __WALL), ended);
  EXPECT_EQ(WEXITSTATUS(status), 64);
  EXPECT_EQ(usr1, 1);
  EXPECT_EQ(chld, 1);
  return guest_ok();
}
