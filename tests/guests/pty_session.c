// A session on a pty: its leader, a group in the foreground and one in the background. ^C, ^Z and a
// new window size reach the foreground group alone, /dev/tty leads to the terminal.
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>

#include "guest.h"

enum { kInterrupted = 1, kResized = 2 };
static int report;
static void on_signal(int number) {
  char what = number == SIGINT ? 'i' : 'w';
  if (write(report, &what, 1) != 1) _exit(9);
}

static pid_t start(void) {
  pid_t child = fork();
  if (child == 0) {
    setpgid(0, 0);
    signal(SIGINT, on_signal);
    signal(SIGWINCH, on_signal);
    for (;;) pause();
  }
  setpgid(child, child);
  return child;
}

// What the leader is asked: whether all is as it was.
static void lead(int slave, int orders, int answers) {
  setsid();
  EXPECT_EQ(ioctl(slave, TIOCSCTTY, 0), 0);
  int tty = open("/dev/tty", O_RDWR);
  EXPECT(tty >= 0);
  report = answers;
  pid_t front = start();
  report = -1;
  pid_t back = start();
  signal(SIGTTOU, SIG_IGN);
  EXPECT_EQ(tcsetpgrp(slave, front), 0);
  EXPECT_EQ(write(answers, "r", 1), 1);
  char order;
  while (read(orders, &order, 1) != 1) {
  }
  EXPECT_EQ(tcgetpgrp(slave), front);
  EXPECT_EQ(tcgetpgrp(tty), front);
  EXPECT_EQ(tcgetsid(slave), getpid());
  int late = open("/dev/tty", O_RDWR);
  EXPECT(late >= 0);
  EXPECT_EQ(tcgetsid(late), getpid());
  EXPECT_EQ(write(answers, "o", 1), 1);
  while (read(orders, &order, 1) != 1) {
  }
  kill(front, SIGKILL);
  kill(back, SIGKILL);
  EXPECT_EQ(waitpid(front, 0, 0), front);
  EXPECT_EQ(waitpid(back, 0, 0), back);
  EXPECT_EQ(tcsetpgrp(slave, getpgrp()), 0);
  _exit(0);
}

static void expect_answer(int answers, char expected) {
  char answer = 0;
  EXPECT_EQ(read(answers, &answer, 1), 1);
  EXPECT_EQ(answer, expected);
}

int main(void) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
  int orders[2], answers[2], status;
  EXPECT(pipe(orders) == 0 && pipe(answers) == 0);
  pid_t child = fork();
  if (child == 0) {
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    close(master);
    lead(slave, orders[0], answers[1]);
  }
  expect_answer(answers[0], 'r');
  guest_ready();
  guest_wait();
  EXPECT_EQ(write(orders[1], "a", 1), 1);
  expect_answer(answers[0], 'o');
  EXPECT_EQ(write(master, "\003", 1), 1);
  expect_answer(answers[0], 'i');
  struct winsize size = {20, 50, 0, 0};
  EXPECT_EQ(ioctl(master, TIOCSWINSZ, &size), 0);
  expect_answer(answers[0], 'w');
  EXPECT_EQ(write(orders[1], "e", 1), 1);
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return guest_ok();
}
