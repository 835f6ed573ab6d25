// A child subreaper that is not the root, with orphans: one lives, one has ended. It collects both.
#include <sys/prctl.h>
#include <sys/wait.h>

#include "guest.h"

static pid_t start_orphan(int status_at_once) {
  int report[2];
  EXPECT_EQ(pipe(report), 0);
  pid_t between = fork(), reaper = getppid();
  if (between == 0) {
    reaper = getppid();
    if (fork() != 0) _exit(0);
    while (getppid() != reaper) guest_nap(1);
    pid_t self = getpid();
    EXPECT_EQ(write(report[1], &self, sizeof self), sizeof self);
    if (status_at_once) _exit(status_at_once);
    guest_wait();
    EXPECT_EQ(getppid(), reaper);
    _exit(31);
  }
  EXPECT_EQ(waitpid(between, 0, 0), between);
  pid_t orphan = 0;
  EXPECT_EQ(read(report[0], &orphan, sizeof orphan), sizeof orphan);
  return orphan;
}

static int reap(void) {
  int status;
  EXPECT_EQ(prctl(PR_SET_CHILD_SUBREAPER, 1), 0);
  pid_t ended = start_orphan(30), alive = start_orphan(0);
  siginfo_t info;
  EXPECT_EQ(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT), 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(waitpid(ended, &status, 0), ended);
  EXPECT_EQ(WEXITSTATUS(status), 30);
  EXPECT_EQ(waitpid(-1, &status, 0), alive);
  EXPECT_EQ(WEXITSTATUS(status), 31);
  EXPECT(waitpid(-1, 0, 0) == -1 && errno == ECHILD);
  return 12;
}

int main(void) {
  pid_t reaper = fork();
  int status;
  if (reaper == 0) _exit(reap());
  EXPECT_EQ(waitpid(reaper, &status, 0), reaper);
  EXPECT_EQ(WEXITSTATUS(status), 12);
  return guest_ok();
}
