// The main thread has called pthread_exit: a zombie leader, an alive process.
#include <pthread.h>

#include "guest.h"

static void* run(void* unused) {
  pid_t pid = getpid(), tid = gettid();
  guest_nap(50);
  guest_ready();
  guest_wait();
  EXPECT_EQ(guest_raw(SYS_getpid, 0, 0, 0, 0, 0, 0), pid);
  EXPECT_EQ(guest_raw(SYS_gettid, 0, 0, 0, 0, 0, 0), tid);
  exit(guest_ok());
  return unused;
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, run, 0);
  pthread_exit(0);
}
