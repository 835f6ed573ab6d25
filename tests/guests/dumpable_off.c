// A process that made itself undumpable is checkpointed all the same, and stays undumpable.
// roundtrip: state=no
#include <sys/prctl.h>

#include "guest.h"

int main(void) {
  EXPECT_EQ(prctl(PR_SET_DUMPABLE, 0), 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(prctl(PR_GET_DUMPABLE), 0);
  EXPECT_EQ(prctl(PR_SET_DUMPABLE, 1), 0);
  EXPECT_EQ(prctl(PR_GET_DUMPABLE), 1);
  return guest_ok();
}
