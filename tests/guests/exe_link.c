// /proc/self/exe, and files found through it.
#include "guest.h"

int main(void) {
  char before[4096] = "", after[4096] = "";
  struct stat about_before, about_after;
  EXPECT(readlink("/proc/self/exe", before, sizeof before - 1) > 0);
  EXPECT_EQ(stat("/proc/self/exe", &about_before), 0);
  guest_ready();
  guest_wait();
  EXPECT(readlink("/proc/self/exe", after, sizeof after - 1) > 0);
  if (strcmp(before, after) != 0) guest_fail("exe is %s, was %s", after, before);
  EXPECT_EQ(stat("/proc/self/exe", &about_after), 0);
  EXPECT_EQ(about_after.st_ino, about_before.st_ino);
  return guest_ok();
}
