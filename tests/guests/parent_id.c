// getppid: the parent that it had; or 1, as for an orphan, where that one has gone.
// roundtrip: modes=resume,restart,twice
#include "guest.h"

int main(void) {
  pid_t before = getppid();
  EXPECT(before > 1);
  guest_ready();
  guest_wait();
  EXPECT(getppid() == before || getppid() == 1);
  return guest_ok();
}
