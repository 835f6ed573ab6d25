// O_TMPFILE: a file that never had a name, and can be given one afterwards.
#include "guest.h"

int main(void) {
  int fd = open(".", O_TMPFILE | O_RDWR, 0600);
  if (fd < 0) guest_skip("this file system has no O_TMPFILE");
  EXPECT_EQ(write(fd, "nameless", 8), 8);
  guest_ready();
  guest_wait();
  char text[16] = "";
  EXPECT_EQ(pread(fd, text, 15, 0), 8);
  EXPECT(strcmp(text, "nameless") == 0);
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 8);
  EXPECT_EQ(write(fd, "!", 1), 1);
  return guest_ok();
}
