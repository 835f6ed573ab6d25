// F_SETOWN, F_SETSIG and O_ASYNC: input still raises the chosen signal in the chosen process.
#include <signal.h>
#include <sys/socket.h>

#include "guest.h"

static volatile int signals, told_fd;
static void on_input(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  signals++;
  told_fd = info->si_fd;
}

int main(void) {
  int ends[2];
  struct sigaction action = {.sa_sigaction = on_input, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaction(SIGRTMIN + 6, &action, 0);
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
  EXPECT_EQ(fcntl(ends[0], F_SETOWN, getpid()), 0);
  EXPECT_EQ(fcntl(ends[0], F_SETSIG, SIGRTMIN + 6), 0);
  EXPECT_EQ(fcntl(ends[0], F_SETFL, O_ASYNC | O_NONBLOCK), 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(fcntl(ends[0], F_GETOWN), getpid());
  EXPECT_EQ(fcntl(ends[0], F_GETSIG), SIGRTMIN + 6);
  EXPECT_EQ(fcntl(ends[0], F_GETFL) & (O_ASYNC | O_NONBLOCK), O_ASYNC | O_NONBLOCK);
  EXPECT_EQ(signals, 0);
  EXPECT_EQ(write(ends[1], "x", 1), 1);
  for (int i = 0; i < 100 && !signals; i++) guest_nap(5);
  EXPECT_EQ(signals, 1);
  EXPECT_EQ(told_fd, ends[0]);
  return guest_ok();
}
