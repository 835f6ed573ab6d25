// Threads that wait for children in every way while the checkpoint comes.
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "guest.h"

enum { kWays = 5 };
static pid_t children[kWays];

static int status_by(int way) {
  siginfo_t info = {0};
  int status = -1;
  switch (way) {
    case 0:
      EXPECT_EQ(waitpid(children[0], &status, 0), children[0]);
      return WEXITSTATUS(status);
    case 1:
      EXPECT_EQ(waitid(P_PID, (id_t)children[1], &info, WEXITED), 0);
      EXPECT(info.si_code == CLD_EXITED && info.si_pid == children[1]);
      return info.si_status;
    case 2:
      while (waitpid(children[2], &status, WNOHANG) == 0) guest_nap(1);
      return WEXITSTATUS(status);
    case 3:
      EXPECT_EQ(wait4(-children[3], &status, WUNTRACED, 0), children[3]);  // its group
      return WEXITSTATUS(status);
    default:
      EXPECT_EQ(waitid(P_PGID, (id_t)children[4], &info, WEXITED | WNOWAIT), 0);
      EXPECT_EQ(waitid(P_PGID, (id_t)children[4], &info, WEXITED), 0);
      return info.si_status;
  }
}

static void* wait_for(void* way) {
  return (void*)(intptr_t)status_by((int)(intptr_t)way);
}

int main(void) {
  pthread_t threads[kWays];
  for (int i = 0; i < kWays; i++) {
    children[i] = fork();
    if (children[i] == 0) {
      setpgid(0, 0);
      guest_wait();
      guest_nap(10 * i);
      _exit(50 + i);
    }
    setpgid(children[i], children[i]);
  }
  for (int i = 0; i < kWays; i++)
    EXPECT_EQ(pthread_create(&threads[i], 0, wait_for, (void*)(intptr_t)i), 0);
  guest_nap(20);
  guest_ready();
  for (int i = 0; i < kWays; i++) {
    void* status;
    EXPECT_EQ(pthread_join(threads[i], &status), 0);
    EXPECT_EQ((intptr_t)status, 50 + i);
  }
  EXPECT(wait(0) == -1 && errno == ECHILD);
  return guest_ok();
}
