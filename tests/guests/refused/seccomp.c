// Has a seccomp filter, which cannot be kept: ckpt must refuse by name and leave it alone. The
// filter kills the process at calls that only ckrun would make in it.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>

#include "../guest.h"

#define KILL_AT(number)                                \
  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (number), 0, 1), \
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

int main(void) {
  struct sock_filter steps[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      KILL_AT(SYS_futex),
      KILL_AT(SYS_getppid),
      KILL_AT(SYS_rt_sigreturn),
      KILL_AT(SYS_personality),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog filter = {sizeof steps / sizeof *steps, steps};
  EXPECT_EQ(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
  if (prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &filter) != 0)
    guest_skip("no seccomp filters here");
  guest_ready();
  guest_wait();
  return guest_ok();
}
