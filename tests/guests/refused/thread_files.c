// A thread with descriptors of its own: ckpt must refuse by name and
// leave it alone.
#include <sched.h>

#include "thread_apart.h"

static void go_apart(void) {
  EXPECT_EQ(unshare(CLONE_FILES), 0);
}
