// A parent that stands in vfork(2) most of the time: its child needs a moment before it goes on.
// roundtrip: delay=0.6 state=no
#include <sys/wait.h>

#include "guest.h"

static volatile int on_stack_of_parent;

static void be_away(int number) {
  pid_t parent = getpid();
  pid_t child = vfork();
  if (child == 0) {
    on_stack_of_parent = number;  // shared until the child goes
    guest_nap(15);
    if (getppid() != parent) _exit(99);
    if (number % 2) _exit(number % 50);
    execl("/bin/sh", "sh", "-c", "exit $0", number % 4 ? "41" : "42", (char*)0);
    _exit(98);
  }
  EXPECT_EQ(on_stack_of_parent, number);
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), number % 2 ? number % 50 : number % 4 ? 41 : 42);
}

int main(void) {
  guest_ready();
  int number = 0;
  while (!guest_released()) be_away(++number);
  for (int i = 0; i < 3; i++) be_away(++number);
  EXPECT(waitpid(-1, 0, 0) == -1 && errno == ECHILD);
  return guest_ok();
}
