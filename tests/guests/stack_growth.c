// The main stack goes on growing after a restart: 6 MiB of recursion.
#include "guest.h"

static uint64_t dig(int depth) {
  volatile char page[4096];
  memset((char*)page, depth & 127, sizeof page);
  uint64_t below = depth ? dig(depth - 1) : 0;
  return below + (unsigned char)page[17];
}

int main(void) {
  uint64_t shallow = dig(10);
  guest_ready();
  guest_wait();
  EXPECT_EQ(dig(10), shallow);
  uint64_t expected = 0;
  for (int depth = 0; depth <= 1500; depth++) expected += depth & 127;
  EXPECT_EQ(dig(1500), expected);
  return guest_ok();
}
