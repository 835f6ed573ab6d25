// O_ASYNC on a pipe: the signal, another than SIGIO, goes to another process of the job (F_SETOWN),
// and to its process group by a second one.
#include <signal.h>
#include <sys/wait.h>

#include "guest.h"

static volatile sig_atomic_t fd_told[2];

static void on_signal(int number, siginfo_t* info, void* context) {
  (void)context;
  fd_told[number == SIGRTMIN + 2] = info->si_fd;
}

int main(void) {
  int first[2], second[2], answer[2];
  EXPECT(pipe(first) == 0 && pipe(second) == 0 && pipe(answer) == 0);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 1);
  sigaddset(&set, SIGRTMIN + 2);
  sigprocmask(SIG_BLOCK, &set, 0);
  pid_t child = fork();
  if (child == 0) {
    struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO};
    sigaction(SIGRTMIN + 1, &action, 0);
    sigaction(SIGRTMIN + 2, &action, 0);
    EXPECT_EQ(setpgid(0, 0), 0);
    sigset_t none;
    sigemptyset(&none);
    EXPECT_EQ(write(answer[1], "s", 1), 1);
    while (!fd_told[0] || !fd_told[1]) sigsuspend(&none);
    EXPECT_EQ(fd_told[0], first[0]);
    EXPECT_EQ(fd_told[1], second[0]);
    _exit(9);
  }
  char byte;
  EXPECT_EQ(read(answer[0], &byte, 1), 1);
  struct f_owner_ex group = {F_OWNER_PGRP, child}, found;
  EXPECT(fcntl(first[0], F_SETOWN, child) == 0 && fcntl(first[0], F_SETSIG, SIGRTMIN + 1) == 0);
  EXPECT(fcntl(second[0], F_SETOWN_EX, &group) == 0);
  EXPECT(fcntl(second[0], F_SETSIG, SIGRTMIN + 2) == 0);
  EXPECT(fcntl(first[0], F_SETFL, O_ASYNC) == 0 && fcntl(second[0], F_SETFL, O_ASYNC) == 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(fcntl(first[0], F_GETOWN), child);
  EXPECT(fcntl(second[0], F_GETOWN_EX, &found) == 0);
  EXPECT(found.type == F_OWNER_PGRP && found.pid == child);
  EXPECT_EQ(fcntl(second[0], F_GETSIG), SIGRTMIN + 2);
  EXPECT(write(first[1], "x", 1) == 1 && write(second[1], "x", 1) == 1);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  return guest_ok();
}
