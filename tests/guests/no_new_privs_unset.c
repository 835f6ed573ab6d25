// A process without no_new_privs does not get it by being restarted.
#include <sys/prctl.h>

#include "guest.h"

int main(void) {
  EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
  EXPECT_EQ(prctl(PR_GET_DUMPABLE), 1);
  EXPECT_EQ(prctl(PR_GET_SECCOMP), 0);
  return guest_ok();
}
