// A ring that two processes have.
#include <sys/wait.h>

#include "../guest_ring.h"

int main(void) {
  struct guest_ring ring = ring_open(4, 0);
  pid_t child = fork();
  if (child == 0) {
    guest_wait();
    _exit(0);
  }
  guest_ready();
  EXPECT_EQ(waitpid(child, 0, 0), child);
  ring_work(&ring, 1);
  return guest_ok();
}
