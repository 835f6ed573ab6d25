// System calls by inline assembly, in a tight loop: results are never a restart code of the kernel.
#include "guest.h"

int main(void) {
  int ends[2];
  EXPECT_EQ(guest_raw(SYS_pipe2, (long)ends, 0, 0, 0, 0, 0), 0);
  long pid = guest_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
  uint64_t sent = 0, received = 0, expected = 0;
  struct timespec short_time = {0, 1000};
  guest_ready();
  while (!guest_released()) {
    for (int i = 0; i < 300; i++) {
      sent++;
      EXPECT_EQ(guest_raw(SYS_write, ends[1], (long)&sent, 8, 0, 0, 0), 8);
      EXPECT_EQ(guest_raw(SYS_read, ends[0], (long)&received, 8, 0, 0, 0), 8);
      EXPECT_EQ(received, ++expected);
      EXPECT_EQ(guest_raw(SYS_getpid, 0, 0, 0, 0, 0, 0), pid);
      EXPECT_EQ(guest_raw(SYS_clock_nanosleep, 1, 0, (long)&short_time, 0, 0, 0), 0);
    }
  }
  return guest_ok();
}
