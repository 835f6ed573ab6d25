// The checkpoint comes while a handler runs on a small alternate stack.
#include <signal.h>
#include <sys/mman.h>

#include "guest.h"

static char* stack_memory;
static volatile int handled;

static void on_signal(int signal) {
  (void)signal;
  char here;
  stack_t seen;
  EXPECT(&here >= stack_memory && &here < stack_memory + 16384);
  guest_ready();
  guest_wait();
  EXPECT_EQ(sigaltstack(0, &seen), 0);
  EXPECT_EQ(seen.ss_flags, SS_ONSTACK);
  EXPECT(seen.ss_sp == stack_memory);
  handled = 1;
}

int main(void) {
  stack_memory = mmap(0, 16384, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  stack_t stack = {.ss_sp = stack_memory, .ss_size = 16384}, seen;
  EXPECT_EQ(sigaltstack(&stack, 0), 0);
  struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
  sigemptyset(&action.sa_mask);
  sigaddset(&action.sa_mask, SIGUSR1);
  sigaction(SIGALRM, &action, 0);
  raise(SIGALRM);
  EXPECT(handled);
  sigset_t mask;
  pthread_sigmask(SIG_SETMASK, 0, &mask);
  EXPECT(!sigismember(&mask, SIGALRM) && !sigismember(&mask, SIGUSR1));
  EXPECT_EQ(sigaltstack(0, &seen), 0);
  EXPECT_EQ(seen.ss_flags, 0);
  return guest_ok();
}
