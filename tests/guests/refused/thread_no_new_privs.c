// A thread that can gain no privilege, unlike the others: ckpt must refuse by name and
// leave it alone.
#include <sys/prctl.h>

#include "thread_apart.h"

static void go_apart(void) {
  EXPECT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
}
