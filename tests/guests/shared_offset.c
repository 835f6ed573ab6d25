// One open file of parent and children: one offset, one set of flags; and another open of it.
#include <sys/wait.h>

#include "guest.h"

static void turn(int reader, int fd, const char* expected) {
  char byte, text[8] = "";
  EXPECT_EQ(read(reader, &byte, 1), 1);
  EXPECT_EQ(read(fd, text, 3), 3);
  EXPECT(strcmp(text, expected) == 0);
}

int main(void) {
  int fd = guest_file("letters", "abcdefghijklmnopqrstuvwxyz");
  int own = open("letters", O_RDONLY), go[2];
  EXPECT_EQ(pipe(go), 0);
  EXPECT_EQ(lseek(fd, 2, SEEK_SET), 2);
  pid_t child = fork();
  if (child == 0) {
    close(own);
    turn(go[0], fd, "cde");
    EXPECT(fcntl(fd, F_GETFL) & O_APPEND);
    if (fork() == 0) {
      turn(go[0], fd, "ijk");
      _exit(2);
    }
    int status;
    wait(&status);
    EXPECT_EQ(lseek(fd, 20, SEEK_SET), 20);
    _exit(status == 0x200 ? 1 : 9);
  }
  EXPECT_EQ(fcntl(fd, F_SETFL, O_APPEND), 0);
  guest_ready();
  guest_wait();
  char text[8] = "";
  int status;
  EXPECT_EQ(write(go[1], "x", 1), 1);
  while (lseek(fd, 0, SEEK_CUR) != 5) guest_nap(1);
  EXPECT_EQ(read(fd, text, 3), 3);
  EXPECT(strcmp(text, "fgh") == 0);
  EXPECT_EQ(write(go[1], "x", 1), 1);
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 1);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 20);
  EXPECT_EQ(lseek(own, 0, SEEK_CUR), 0);
  return guest_ok();
}
