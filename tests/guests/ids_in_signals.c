// Who sent a signal: to handlers, sigwaitinfo and waitid, from the program itself and its children.
#include <signal.h>
#include <sys/wait.h>

#include "guest.h"

static volatile sig_atomic_t number, code, sender, value;

static void note(int signal, siginfo_t* info, void* unused) {
  (void)unused;
  number = signal;
  code = info->si_code;
  sender = info->si_pid;
  value = info->si_value.sival_int;
}

static void expect(int signal, int why) {
  EXPECT_EQ(number, signal);
  EXPECT_EQ(code, why);
  EXPECT_EQ(sender, getpid());
  number = code = sender = 0;
}

static void check_own(void) {
  EXPECT_EQ(kill(getpid(), SIGUSR1), 0);
  expect(SIGUSR1, SI_USER);
  EXPECT_EQ(raise(SIGUSR1), 0);
  expect(SIGUSR1, SI_TKILL);
  EXPECT_EQ(guest_raw(SYS_tkill, gettid(), SIGUSR1, 0, 0, 0, 0), 0);
  expect(SIGUSR1, SI_TKILL);
  EXPECT_EQ(kill(0, SIGURG), 0);  // its group, which ignores that
  union sigval sent = {.sival_int = 7};
  EXPECT_EQ(sigqueue(getpid(), SIGUSR1, sent), 0);
  EXPECT_EQ(value, 7);
  expect(SIGUSR1, SI_QUEUE);
}

static void check_child(void) {
  sigset_t set, before;
  sigemptyset(&set);
  sigaddset(&set, SIGCHLD);
  sigaddset(&set, SIGUSR2);
  sigprocmask(SIG_BLOCK, &set, &before);
  pid_t parent = getpid(), child = fork();
  if (child == 0) _exit(getppid() == parent && kill(parent, SIGUSR2) == 0 ? 5 : 6);
  siginfo_t info;
  int seen = 0;
  for (int i = 0; i < 2; i++) {
    int got = sigwaitinfo(&set, &info);
    EXPECT_EQ(info.si_pid, child);
    seen |= got == SIGCHLD ? 1 : 2;
  }
  EXPECT_EQ(seen, 3);
  memset(&info, 0, sizeof info);
  EXPECT_EQ(waitid(P_PID, (id_t)child, &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(info.si_pid, child);
  EXPECT_EQ(info.si_status, 5);
  EXPECT_EQ(waitid(P_PGID, (id_t)getpgrp(), &info, WEXITED), 0);
  EXPECT_EQ(info.si_pid, child);
  EXPECT_EQ(wait(0), -1);
  EXPECT_EQ(errno, ECHILD);
  sigprocmask(SIG_SETMASK, &before, 0);
}

int main(void) {
  struct sigaction action = {0}, seen;
  EXPECT_EQ(setpgid(0, 0), 0);  // that of the restart (--pids real) may change between two calls
  action.sa_sigaction = note;
  action.sa_flags = SA_SIGINFO;
  sigaddset(&action.sa_mask, SIGSYS);
  sigaction(SIGUSR1, &action, 0);
  guest_ready();
  while (!guest_released()) {
    check_own();
    check_child();
  }
  check_own();
  check_child();
  EXPECT_EQ(sigaction(SIGUSR1, 0, &seen), 0);
  EXPECT(seen.sa_sigaction == note);
  EXPECT_EQ(seen.sa_flags & SA_SIGINFO, SA_SIGINFO);
  EXPECT(sigismember(&seen.sa_mask, SIGSYS) && !sigismember(&seen.sa_mask, SIGUSR2));
  return guest_ok();
}
