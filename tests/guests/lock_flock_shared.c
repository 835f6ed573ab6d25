// A flock(2) lock whose open file a child has too: it is held until both have let it go.
#include <sys/file.h>
#include <sys/wait.h>

#include "guest.h"

int main(void) {
  int fd = guest_file("locked", "text"), down[2], up[2];
  char byte;
  EXPECT(pipe(down) == 0 && pipe(up) == 0);
  EXPECT_EQ(flock(fd, LOCK_EX), 0);
  pid_t holder = fork();
  if (holder == 0) {
    EXPECT_EQ(read(down[0], &byte, 1), 1);
    EXPECT_EQ(flock(fd, LOCK_UN), 0);
    EXPECT_EQ(write(up[1], "u", 1), 1);
    _exit(0);
  }
  pid_t other = fork();
  if (other == 0) {
    close(fd);
    fd = open("locked", O_RDWR);
    guest_wait();
    EXPECT(flock(fd, LOCK_EX | LOCK_NB) == -1 && errno == EWOULDBLOCK);
    EXPECT_EQ(write(up[1], "w", 1), 1);
    EXPECT_EQ(flock(fd, LOCK_EX), 0);
    _exit(0);
  }
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT(read(up[0], &byte, 1) == 1 && byte == 'w');
  EXPECT_EQ(close(fd), 0);  // the holder still has it
  guest_nap(20);
  EXPECT_EQ(waitpid(other, 0, WNOHANG), 0);
  EXPECT_EQ(write(down[1], "x", 1), 1);
  EXPECT(read(up[0], &byte, 1) == 1 && byte == 'u');
  int status;
  EXPECT_EQ(waitpid(other, &status, 0), other);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(waitpid(holder, &status, 0), holder);
  EXPECT_EQ(status, 0);
  return guest_ok();
}
