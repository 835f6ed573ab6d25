// Open files with their offsets and flags; a file that was renamed while open.
#include "guest.h"

int main(void) {
  int reader = guest_file("read", "0123456789");
  int writer = guest_file("write", "");
  int renamed = guest_file("old name", "content");
  EXPECT_EQ(lseek(reader, 4, SEEK_SET), 4);
  EXPECT_EQ(write(writer, "before ", 7), 7);
  EXPECT_EQ(rename("old name", "new name"), 0);
  int only = open("read", O_RDONLY | O_CLOEXEC | O_NOATIME | O_NONBLOCK);
  int path = open(".", O_PATH | O_DIRECTORY);
  int high = fcntl(reader, F_DUPFD, 100);
  guest_ready();
  guest_wait();
  char text[16] = "";
  EXPECT_EQ(read(reader, text, 3), 3);
  EXPECT(strcmp(text, "456") == 0);
  EXPECT_EQ(lseek(high, 0, SEEK_CUR), 7);
  EXPECT_EQ(write(writer, "after", 5), 5);
  EXPECT_EQ(pread(writer, text, 16, 0), 12);
  EXPECT(memcmp(text, "before after", 12) == 0);
  EXPECT_EQ(lseek(renamed, 0, SEEK_CUR), 7);
  EXPECT_EQ(write(renamed, "!", 1), 1);
  struct stat about;
  EXPECT(stat("new name", &about) == 0 && about.st_size == 8);
  EXPECT_EQ(fcntl(only, F_GETFL) & (O_ACCMODE | O_NOATIME | O_NONBLOCK), O_NOATIME | O_NONBLOCK);
  EXPECT_EQ(fcntl(only, F_GETFD), FD_CLOEXEC);
  EXPECT(write(only, "x", 1) == -1 && errno == EBADF);
  EXPECT_EQ(fcntl(path, F_GETFL) & O_PATH, O_PATH);
  EXPECT_EQ(faccessat(path, "new name", F_OK, 0), 0);
  return guest_ok();
}
