// Huge pages only where the program advises them (PR_THP_DISABLE_EXCEPT_ADVISED, Linux 6.18).
#include <sys/prctl.h>

#include "guest.h"

enum { kExceptAdvised = 1 << 1 };

int main(void) {
  if (prctl(PR_SET_THP_DISABLE, 1, kExceptAdvised, 0, 0) != 0)
    guest_skip("this kernel disables all huge pages or none");
  guest_ready();
  guest_wait();
  EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1 | kExceptAdvised);
  return guest_ok();
}
