// A lease (F_SETLEASE) that a child holds: another process's open breaks it after the restart.
#include <signal.h>
#include <sys/wait.h>

#include "guest.h"

int main(void) {
  int ready[2];
  EXPECT_EQ(pipe(ready), 0);
  close(guest_file("leased", "content"));
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + 1);
  sigprocmask(SIG_BLOCK, &set, 0);
  pid_t child = fork();
  if (child == 0) {
    int fd = open("leased", O_RDONLY);
    EXPECT(fcntl(fd, F_SETSIG, SIGRTMIN + 1) == 0 && fcntl(fd, F_SETLEASE, F_RDLCK) == 0);
    EXPECT_EQ(write(ready[1], "r", 1), 1);
    siginfo_t info;
    EXPECT_EQ(sigwaitinfo(&set, &info), SIGRTMIN + 1);
    EXPECT_EQ(info.si_fd, fd);
    EXPECT_EQ(fcntl(fd, F_SETLEASE, F_UNLCK), 0);
    _exit(9);
  }
  char byte;
  EXPECT_EQ(read(ready[0], &byte, 1), 1);
  guest_ready();
  guest_wait();
  EXPECT(open("leased", O_WRONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  EXPECT(open("leased", O_WRONLY | O_NONBLOCK) >= 0);
  return guest_ok();
}
