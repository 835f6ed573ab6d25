// PR_SET_PDEATHSIG is kept.
#include <signal.h>
#include <sys/prctl.h>

#include "guest.h"

int main(void) {
  int signal_number = 0;
  signal(SIGWINCH, SIG_IGN);
  EXPECT_EQ(prctl(PR_SET_PDEATHSIG, SIGWINCH), 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(prctl(PR_GET_PDEATHSIG, &signal_number), 0);
  EXPECT_EQ(signal_number, SIGWINCH);
  return guest_ok();
}
