// A program that traces children of its own, after a restart as before, and reads their registers
// by the ids that it knows. Under --pids virtual a tracer would see the SIGSYS of the translation.
// roundtrip: modes=resume,restart,twice,real
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>
#include <sys/wait.h>

#include "guest.h"

static void trace_once(void) {
  pid_t child = fork();
  if (child == 0) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
    _exit(8);
  }
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT(WIFSTOPPED(status));
  EXPECT_EQ(WSTOPSIG(status), SIGSTOP);
  struct user_regs_struct registers;
  EXPECT_EQ(ptrace(PTRACE_GETREGS, child, 0, &registers), 0);
  EXPECT_EQ(ptrace(PTRACE_DETACH, child, 0, 0), 0);
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 8);
}

int main(void) {
  trace_once();
  guest_ready();
  guest_wait();
  trace_once();
  return guest_ok();
}
