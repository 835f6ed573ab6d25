// A pseudo-terminal, both ends in one process: number, modes, window, packet mode, exclusive mode,
// what waits in both directions, a line that is not finished, two open files of the slave.
#include <sys/ioctl.h>
#include <termios.h>

#include "guest.h"

static void expect_read(int fd, const char* expected) {
  char text[200] = "";
  ssize_t count = read(fd, text, sizeof text - 1);
  if (count != (ssize_t)strlen(expected) || memcmp(text, expected, strlen(expected)))
    guest_fail("read %zd bytes '%s', expected '%s'", count, text, expected);
}

static int waiting(int fd) {
  int count = -1;
  EXPECT_EQ(ioctl(fd, FIONREAD, &count), 0);
  return count;
}

static void nonblocking(int fd) {
  EXPECT_EQ(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

int main(void) {
  int master = posix_openpt(O_RDWR | O_NOCTTY);
  EXPECT(master >= 0);
  EXPECT_EQ(grantpt(master), 0);
  EXPECT_EQ(unlockpt(master), 0);
  char name[64];
  EXPECT_EQ(ptsname_r(master, name, sizeof name), 0);
  int slave = open(name, O_RDWR | O_NOCTTY), other = open(name, O_WRONLY | O_NOCTTY);
  EXPECT(slave >= 0 && other >= 0);
  struct termios modes;
  EXPECT_EQ(tcgetattr(slave, &modes), 0);
  modes.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
  modes.c_cc[VERASE] = 'x';
  modes.c_iflag |= IXANY;
  cfsetspeed(&modes, B19200);
  EXPECT_EQ(tcsetattr(slave, TCSANOW, &modes), 0);
  struct winsize size = {33, 77, 10, 20};
  EXPECT_EQ(ioctl(master, TIOCSWINSZ, &size), 0);
  EXPECT_EQ(write(master, "one line\nunfinished\001", 20), 20);
  EXPECT_EQ(write(other, "to the master\n", 14), 14);
  int on = 1, packet = 0, exclusive = 0;
  EXPECT_EQ(ioctl(master, TIOCPKT, &on), 0);
  EXPECT_EQ(ioctl(slave, TIOCEXCL), 0);
  nonblocking(slave);
  while (waiting(slave) < 9) guest_nap(1);
  guest_ready();
  guest_wait();

  char again[64];
  EXPECT_EQ(ptsname_r(master, again, sizeof again), 0);
  EXPECT_EQ(strcmp(name, again), 0);
  EXPECT_EQ(ttyname_r(slave, again, sizeof again), 0);
  EXPECT_EQ(strcmp(name, again), 0);
  struct termios after;
  EXPECT_EQ(tcgetattr(slave, &after), 0);
  EXPECT_EQ(after.c_lflag, modes.c_lflag);
  EXPECT_EQ(after.c_iflag, modes.c_iflag);
  EXPECT_EQ(after.c_oflag, modes.c_oflag);
  EXPECT_EQ(after.c_cflag, modes.c_cflag);
  EXPECT_EQ(memcmp(after.c_cc, modes.c_cc, sizeof modes.c_cc), 0);
  EXPECT_EQ(cfgetospeed(&after), B19200);
  struct winsize now;
  EXPECT_EQ(ioctl(slave, TIOCGWINSZ, &now), 0);
  EXPECT_EQ(memcmp(&now, &size, sizeof now), 0);
  EXPECT_EQ(ioctl(master, TIOCGPKT, &packet), 0);
  EXPECT_EQ(packet, 1);
  EXPECT_EQ(ioctl(slave, TIOCGEXCL, &exclusive), 0);
  EXPECT_EQ(exclusive, 1);
  EXPECT_EQ(waiting(slave), 9);  // a line that is not finished does not count
  expect_read(slave, "one line\n");
  EXPECT_EQ(read(slave, again, 1), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(write(master, "\n", 1), 1);
  while (waiting(slave) == 0) guest_nap(1);
  expect_read(slave, "unfinished\001\n");
  char bytes[100];
  ssize_t count = read(master, bytes, sizeof bytes);  // in packet mode: a byte in front
  EXPECT_EQ(count, 16);
  EXPECT_EQ(bytes[0], TIOCPKT_DATA);
  EXPECT_EQ(memcmp(bytes + 1, "to the master\r\n", 15), 0);
  EXPECT_EQ(write(other, "more", 4), 4);
  EXPECT_EQ(read(master, bytes, sizeof bytes), 5);
  close(slave);
  close(other);
  EXPECT_EQ(read(master, bytes, sizeof bytes), -1);
  EXPECT_EQ(errno, EIO);
  return guest_ok();
}
