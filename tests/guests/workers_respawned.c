// Workers with two threads each, that are started anew when somebody kills them.
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

enum { kWorkers = 5, kBytes = 1 << 20 };

static void* idle(void* unused) {
  for (;;) guest_nap(2);
  return unused;
}

static pid_t start(int number) {
  pid_t child = fork(), self;
  EXPECT(child >= 0);
  if (child != 0) return child;
  pthread_t thread;
  self = getpid();
  EXPECT_EQ(pthread_create(&thread, 0, idle, 0), 0);
  char* memory = mmap(0, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  guest_fill(memory, kBytes, (uint64_t)number);
  while (!guest_released()) {
    EXPECT_EQ(guest_raw(SYS_getpid, 0, 0, 0, 0, 0, 0), self);
    EXPECT(guest_filled(memory, kBytes, (uint64_t)number));
    guest_nap(1);
  }
  _exit(number);
}

int main(void) {
  pid_t workers[kWorkers], pid;
  int status, left = kWorkers;
  for (int i = 0; i < kWorkers; i++) workers[i] = start(i);
  guest_ready();
  while (left > 0) {
    EXPECT((pid = wait(&status)) > 0);
    for (int i = 0; i < kWorkers; i++) {
      if (workers[i] != pid) continue;
      if (WIFSIGNALED(status)) {
        EXPECT_EQ(WTERMSIG(status), SIGKILL);
        workers[i] = start(i);
      } else {
        EXPECT_EQ(WEXITSTATUS(status), i);
        left--;
      }
    }
  }
  EXPECT(guest_released());
  return guest_ok();
}
