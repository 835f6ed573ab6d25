// Code that the program wrote itself, as a just-in-time compiler does.
#include <sys/mman.h>

#include "guest.h"

int main(void) {
  unsigned char add_seven[] = {0x48, 0x8d, 0x47, 0x07, 0xc3};  // lea 7(%rdi),%rax; ret
  unsigned char* code = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  memcpy(code, add_seven, sizeof add_seven);
  EXPECT_EQ(mprotect(code, 4096, PROT_READ | PROT_EXEC), 0);
  long (*function)(long);
  memcpy(&function, &code, sizeof function);
  guest_ready();
  long sum = 0;
  while (!guest_released()) {
    for (int i = 0; i < 10000; i++) sum = function(sum);
    EXPECT_EQ(sum % 70000, 0);
  }
  EXPECT_EQ(function(35), 42);
  return guest_ok();
}
