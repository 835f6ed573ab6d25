// sigwait in a thread goes on waiting for a signal to the process.
// roundtrip: delay=0.4
#include <pthread.h>
#include <signal.h>

#include "guest.h"

static volatile int woken;
static sigset_t set;

static void* block(void* unused) {
  int seen = 0;
  EXPECT_EQ(sigwait(&set, &seen), 0);
  EXPECT_EQ(seen, SIGTERM);
  woken = 1;
  return unused;
}

int main(void) {
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &set, 0);
  pthread_t thread;
  pthread_create(&thread, 0, block, 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(woken, 0);
  kill(getpid(), SIGTERM);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(woken, 1);
  return guest_ok();
}
