// no_new_privs is kept, with the securebits and the thp switch.
#include <sys/prctl.h>

#include "guest.h"

int main(void) {
  EXPECT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  EXPECT_EQ(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0), 0);
  EXPECT_EQ(prctl(PR_SET_TIMERSLACK, 123456), 0);
  int securebits = prctl(PR_GET_SECUREBITS);
  guest_ready();
  guest_wait();
  EXPECT_EQ(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
  EXPECT_EQ(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
  EXPECT_EQ(prctl(PR_GET_TIMERSLACK), 123456);
  EXPECT_EQ(prctl(PR_GET_SECUREBITS), securebits);
  return guest_ok();
}
