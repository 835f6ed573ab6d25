// A thread that has given up its capabilities: ckpt must refuse by name and
// leave it alone.
#include <linux/capability.h>

#include "thread_apart.h"

static void go_apart(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0}};
  EXPECT_EQ(syscall(SYS_capset, &header, none), 0);
}
