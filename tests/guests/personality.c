// The personality flags.
#include <sys/personality.h>

#include "guest.h"

int main(void) {
  int wanted = personality(0xffffffff) | ADDR_NO_RANDOMIZE | UNAME26;
  EXPECT(personality((unsigned long)wanted) >= 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(personality(0xffffffff), wanted);
  return guest_ok();
}
