// Eight processes that do nothing but become new programs, with another thread running when they
// do; their pids, and what they pass on, stay.
// roundtrip: state=no delay=0.4
#include <pthread.h>
#include <sys/wait.h>

#include "guest.h"

static void* idle(void* unused) {
  for (;;) guest_nap(1);
  return unused;
}

// Arguments: name, pid, rounds so far.
static int churn(char** arguments) {
  char rounds[24];
  pthread_t thread;
  EXPECT_EQ(getpid(), atoi(arguments[1]));
  if (guest_released()) return atol(arguments[2]) > 0 ? 6 : 7;
  EXPECT_EQ(pthread_create(&thread, 0, idle, 0), 0);
  snprintf(rounds, sizeof rounds, "%ld", atol(arguments[2]) + 1);
  char* next[] = {arguments[0], arguments[1], rounds, 0};
  execv("/proc/self/exe", next);
  guest_fail("exec");
}

int main(int count, char** arguments) {
  enum { kProcesses = 8 };
  if (count == 3) return churn(arguments);
  for (int i = 0; i < kProcesses; i++) {
    if (fork() != 0) continue;
    char pid[24];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    execl("/proc/self/exe", arguments[0], pid, "0", (char*)0);
    guest_fail("exec");
  }
  guest_ready();
  for (int i = 0, status; i < kProcesses; i++) {
    EXPECT(wait(&status) > 0);
    EXPECT_EQ(WEXITSTATUS(status), 6);
  }
  return guest_ok();
}
