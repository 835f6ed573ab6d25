// Has a segment in its local descriptor table: ckpt must refuse by name and
// leave it alone.
#include <asm/ldt.h>

#include "../guest.h"

int main(void) {
  struct user_desc segment = {
      .entry_number = 0, .base_addr = 0x1000, .limit = 0xff, .seg_32bit = 1};
  if (syscall(SYS_modify_ldt, 1, &segment, sizeof segment) != 0)
    guest_skip("no local descriptor tables in this kernel");
  guest_ready();
  guest_wait();
  return guest_ok();
}
