// A descriptor whose signals the process group gets: in another life that may have another number.
#include <sys/wait.h>

#include "guest.h"

static volatile sig_atomic_t told;

static void on_io(int number) {
  (void)number;
  told = 1;
}

int main(void) {
  int ends[2], own[2];
  EXPECT_EQ(pipe(ends), 0);
  EXPECT_EQ(fcntl(ends[0], F_SETOWN, -getpgrp()), 0);
  pid_t child = fork();
  if (child == 0) {
    EXPECT_EQ(setpgid(0, 0), 0);
    signal(SIGIO, on_io);
    EXPECT_EQ(pipe(own), 0);
    EXPECT_EQ(fcntl(own[0], F_SETOWN, -getpgrp()), 0);
    EXPECT_EQ(fcntl(own[0], F_SETFL, O_ASYNC), 0);
    guest_wait();
    EXPECT_EQ(fcntl(own[0], F_GETOWN), -getpgrp());
    EXPECT_EQ(write(own[1], "x", 1), 1);
    EXPECT_EQ(told, 1);
    _exit(0);
  }
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(fcntl(ends[0], F_GETOWN), -getpgrp());
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return guest_ok();
}
