// POSIX record locks: ranges and kinds are held again, as another process sees them.
#include <sys/wait.h>

#include "guest.h"

// The kind of lock that would keep another process from writing at `start`.
static int seen_by_child(int start) {
  pid_t child = fork();
  if (child == 0) {
    int fd = open("data", O_RDWR);
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = start, .l_len = 1};
    if (fcntl(fd, F_GETLK, &lock) != 0) _exit(99);
    _exit(lock.l_type == F_UNLCK ? 0 : lock.l_type == F_RDLCK ? 1 : 2);
  }
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  return WEXITSTATUS(status);
}

int main(void) {
  int fd = guest_file("data", "0123456789012345678901234567890123456789");
  struct flock write_lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 5};
  struct flock read_lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET, .l_start = 20, .l_len = 0};
  EXPECT_EQ(fcntl(fd, F_SETLK, &write_lock), 0);
  EXPECT_EQ(fcntl(fd, F_SETLK, &read_lock), 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(seen_by_child(0), 0);
  EXPECT_EQ(seen_by_child(5), 2);
  EXPECT_EQ(seen_by_child(9), 2);
  EXPECT_EQ(seen_by_child(10), 0);
  EXPECT_EQ(seen_by_child(1000), 1);
  write_lock.l_type = F_UNLCK;
  EXPECT_EQ(fcntl(fd, F_SETLK, &write_lock), 0);
  EXPECT_EQ(seen_by_child(5), 0);
  return guest_ok();
}
