// pidfds of a child, of one that has ended, of one that was collected, of the process itself and of
// the parent; by pidfd_open and by clone. They can be polled, waited for and signalled through.
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>

#include "guest.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int pidfd_open_of(pid_t pid, unsigned flags) {
  int fd = (int)syscall(SYS_pidfd_open, pid, flags);
  EXPECT(fd >= 0);
  return fd;
}

static int readable(int fd) {
  struct pollfd one = {.fd = fd, .events = POLLIN};
  EXPECT(poll(&one, 1, 0) >= 0);
  return (one.revents & POLLIN) != 0;
}

static int status_by(int fd) {
  siginfo_t info = {0};
  EXPECT_EQ(waitid(P_PIDFD, (id_t)fd, &info, WEXITED), 0);
  return info.si_status;
}

int main(void) {
  int cloned = -1;
  pid_t self = getpid();
  struct clone_args args = {.flags = CLONE_PIDFD, .exit_signal = SIGCHLD};
  args.pidfd = (uint64_t)(uintptr_t)&cloned;
  pid_t child = (pid_t)syscall(SYS_clone3, &args, sizeof args);
  if (child == 0) {
    int parent = pidfd_open_of(self, 0);
    guest_wait();
    EXPECT_EQ(syscall(SYS_pidfd_send_signal, parent, SIGUSR1, 0, 0), 0);
    _exit(71);
  }
  pid_t ended = fork();
  if (ended == 0) _exit(72);
  pid_t collected = fork();
  if (collected == 0) _exit(73);
  int of_ended = pidfd_open_of(ended, O_NONBLOCK), of_collected = pidfd_open_of(collected, 0);
  int of_self = pidfd_open_of(self, 0), again = pidfd_open_of(child, 0), copy = dup(again);
  siginfo_t info;
  EXPECT_EQ(waitid(P_PID, (id_t)ended, &info, WEXITED | WNOWAIT), 0);
  EXPECT_EQ(waitpid(collected, 0, 0), collected);
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGUSR1);
  sigprocmask(SIG_BLOCK, &set, 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT(sigwaitinfo(&set, &info) == SIGUSR1 && info.si_pid == child);
  struct pollfd end = {.fd = cloned, .events = POLLIN};
  EXPECT_EQ(poll(&end, 1, 10000), 1);
  EXPECT(readable(again) && readable(copy) && readable(of_ended) && readable(of_collected));
  EXPECT(!readable(of_self));
  EXPECT_EQ(status_by(cloned), 71);
  EXPECT_EQ(status_by(of_ended), 72);
  EXPECT(syscall(SYS_pidfd_send_signal, of_collected, 0, 0, 0) == -1 && errno == ESRCH);
  EXPECT_EQ(syscall(SYS_pidfd_send_signal, of_self, 0, 0, 0), 0);
  EXPECT(fcntl(cloned, F_GETFD) == FD_CLOEXEC && fcntl(copy, F_GETFD) == 0);
  EXPECT((fcntl(of_ended, F_GETFL) & O_NONBLOCK) && !(fcntl(cloned, F_GETFL) & O_NONBLOCK));
  return guest_ok();
}
