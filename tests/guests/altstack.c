// Alternate signal stacks of two threads, used again after the restart.
#include <pthread.h>
#include <signal.h>

#include "guest.h"

static char stacks[2][65536];
static volatile int ran_on[2];

static void on_signal(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  char here;
  int which = info->si_value.sival_int;
  ran_on[which] = &here >= stacks[which] && &here < stacks[which] + sizeof stacks[which];
}

static void* run(void* argument) {
  long which = (long)argument;
  stack_t stack = {.ss_sp = stacks[which], .ss_size = sizeof stacks[which]}, seen;
  EXPECT_EQ(sigaltstack(&stack, 0), 0);
  if (which == 0) guest_ready();
  guest_wait();
  EXPECT_EQ(sigaltstack(0, &seen), 0);
  EXPECT(seen.ss_sp == stacks[which] && seen.ss_size == sizeof stacks[which]);
  EXPECT_EQ(seen.ss_flags, 0);
  union sigval value = {.sival_int = (int)which};
  EXPECT_EQ(pthread_sigqueue(pthread_self(), SIGRTMIN + 1, value), 0);
  EXPECT(ran_on[which]);
  return 0;
}

int main(void) {
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigaction(SIGRTMIN + 1, &action, 0);
  pthread_t thread;
  pthread_create(&thread, 0, run, (void*)1);
  guest_nap(20);
  run(0);
  pthread_join(thread, 0);
  return guest_ok();
}
