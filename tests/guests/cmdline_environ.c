// /proc/self/cmdline, environ and comm, and a title that the program wrote over its arguments.
#include "guest.h"

static size_t slurp(const char* path, char* text, size_t size) {
  int fd = open(path, O_RDONLY);
  EXPECT(fd >= 0);
  ssize_t got = read(fd, text, size);
  EXPECT(got > 0);
  close(fd);
  return (size_t)got;
}

int main(int count, char** arguments) {
  static char before[3][8192], after[3][8192];
  size_t size[3];
  const char* paths[] = {"/proc/self/cmdline", "/proc/self/environ", "/proc/self/comm"};
  EXPECT(count >= 1);
  arguments[0][0] = '~';
  for (int i = 0; i < 3; i++) size[i] = slurp(paths[i], before[i], sizeof before[i]);
  guest_ready();
  guest_wait();
  for (int i = 0; i < 3; i++) {
    EXPECT_EQ(slurp(paths[i], after[i], sizeof after[i]), size[i]);
    EXPECT(memcmp(before[i], after[i], size[i]) == 0);
  }
  EXPECT_EQ(after[0][0], '~');
  return guest_ok();
}
