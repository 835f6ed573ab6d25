// /dev/null, zero, full, random and urandom.
#include "guest.h"

int main(void) {
  const char* paths[] = {"/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"};
  int fds[5];
  for (int i = 0; i < 5; i++) fds[i] = open(paths[i], i < 3 ? O_RDWR : O_RDONLY);
  guest_ready();
  guest_wait();
  char block[64];
  memset(block, 1, sizeof block);
  EXPECT_EQ(read(fds[0], block, 64), 0);
  EXPECT_EQ(write(fds[0], block, 64), 64);
  EXPECT_EQ(read(fds[1], block, 64), 64);
  for (int i = 0; i < 64; i++) EXPECT_EQ(block[i], 0);
  EXPECT(write(fds[2], block, 1) == -1 && errno == ENOSPC);
  EXPECT_EQ(read(fds[3], block, 32), 32);
  EXPECT_EQ(read(fds[4], block + 32, 32), 32);
  EXPECT(memcmp(block, block + 32, 32) != 0);
  return guest_ok();
}
