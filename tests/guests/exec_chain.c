// Control survives a chain of execs in one process: sh, then this program, then this one again.
// roundtrip: run=exec-chain
#include "guest.h"

int main(int count, char** arguments) {
  if (count < 2) {
    execl("/proc/self/exe", arguments[0], "again", (char*)0);
    guest_fail("exec");
  }
  guest_ready();
  guest_wait();
  EXPECT(strcmp(arguments[1], "again") == 0);
  return guest_ok();
}
