// umask and working directory; relative paths still work, also in a deleted directory's stead.
#include "guest.h"

int main(void) {
  char before[4096], after[4096];
  EXPECT_EQ(mkdir("inner", 0700), 0);
  EXPECT_EQ(chdir("inner"), 0);
  umask(0137);
  EXPECT(getcwd(before, sizeof before) != 0);
  guest_ready();
  guest_wait();
  EXPECT(getcwd(after, sizeof after) != 0);
  EXPECT(strcmp(before, after) == 0);
  close(open("made", O_CREAT | O_WRONLY, 0777));
  struct stat about;
  EXPECT_EQ(stat("../inner/made", &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 0777 & ~0137);
  EXPECT_EQ(umask(0), 0137);
  return guest_ok();
}
