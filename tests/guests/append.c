// O_APPEND: writes go to the end, wherever the offset is.
#include "guest.h"

int main(void) {
  close(guest_file("log", "line 1\n"));
  int fd = open("log", O_RDWR | O_APPEND);
  EXPECT_EQ(write(fd, "line 2\n", 7), 7);
  EXPECT_EQ(lseek(fd, 3, SEEK_SET), 3);
  guest_ready();
  guest_wait();
  EXPECT_EQ(lseek(fd, 0, SEEK_CUR), 3);
  EXPECT_EQ(write(fd, "line 3\n", 7), 7);
  char text[64] = "";
  EXPECT_EQ(pread(fd, text, 63, 0), 21);
  EXPECT(strcmp(text, "line 1\nline 2\nline 3\n") == 0);
  return guest_ok();
}
