// An asynchronous I/O context, of which no descriptor tells.
#include <linux/aio_abi.h>

#include "../guest.h"

int main(void) {
  aio_context_t context = 0;
  EXPECT_EQ(syscall(SYS_io_setup, 4, &context), 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(syscall(SYS_io_destroy, context), 0);
  return guest_ok();
}
