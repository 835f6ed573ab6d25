// A stack that the program made with MAP_GROWSDOWN goes on growing.
#include <sys/mman.h>

#include "guest.h"

int main(void) {
  char* room = mmap(0, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  munmap(room, 64 << 20);
  char* top = mmap(room + (63 << 20), 8192, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_GROWSDOWN | MAP_FIXED_NOREPLACE, -1, 0);
  EXPECT(top != MAP_FAILED);
  top[-4096] = 1;
  guest_ready();
  guest_wait();
  EXPECT_EQ(top[-4096], 1);
  for (int i = 2; i < 64; i++) top[-4096 * i] = (char)i;
  for (int i = 1; i < 64; i++) EXPECT_EQ(top[-4096 * i], i);
  return guest_ok();
}
