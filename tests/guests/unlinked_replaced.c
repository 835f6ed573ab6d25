// An unlinked open file and a new file of the same name are not taken for each other.
#include "guest.h"

int main(void) {
  int old = guest_file("name", "old content");
  unlink("name");
  int new = guest_file("name", "new");
  guest_ready();
  guest_wait();
  char text[32] = "";
  EXPECT_EQ(pread(old, text, 31, 0), 11);
  EXPECT(strcmp(text, "old content") == 0);
  memset(text, 0, sizeof text);
  EXPECT_EQ(pread(new, text, 31, 0), 3);
  EXPECT(strcmp(text, "new") == 0);
  EXPECT_EQ(pwrite(old, "OLD", 3, 0), 3);
  EXPECT_EQ(pread(new, text, 3, 0), 3);
  EXPECT(memcmp(text, "new", 3) == 0);
  return guest_ok();
}
