// A mapping that is longer than its file: the part past the end still raises SIGBUS.
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "guest.h"

static sigjmp_buf back;
static void on_bus(int signal) {
  (void)signal;
  siglongjmp(back, 1);
}

int main(void) {
  int fd = guest_file("short", "just a few bytes");
  char* past = mmap(0, 3 * 4096, PROT_READ, MAP_PRIVATE, fd, 0);
  char* shared = mmap(0, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  guest_ready();
  guest_wait();
  EXPECT(memcmp(past, "just a few bytes", 17) == 0);
  EXPECT(memcmp(shared, "just a few bytes", 17) == 0);
  signal(SIGBUS, on_bus);
  if (sigsetjmp(back, 1) == 0) {
    volatile char byte = past[4096];
    guest_fail("a page past the end of the file reads %d", byte);
  }
  return guest_ok();
}
