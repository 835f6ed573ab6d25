// Control survives an exec with an environment that has nothing in it (env -i).
// roundtrip: run=clear-environment
#include "guest.h"

int main(void) {
  EXPECT(getenv("HOME") == 0 && getenv("PATH") == 0);
  guest_ready();
  guest_wait();
  EXPECT(getenv("HOME") == 0 && getenv("PATH") == 0);
  return guest_ok();
}
