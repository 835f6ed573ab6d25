// Several processes with several threads each; in one of them the leader has ended.
#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

enum { kProcesses = 3, kThreads = 4 };
static volatile int* up;
static __thread int mine;

static void* run(void* number) {
  pid_t tid = (pid_t)syscall(SYS_gettid), pid = getpid();
  uint64_t sum = 0;
  mine = (int)(intptr_t)number;
  __atomic_fetch_add(up, 1, __ATOMIC_SEQ_CST);
  while (!guest_released()) {
    for (int i = 0; i < 20000; i++) sum += (uint64_t)i;
    EXPECT_EQ(sum % 199990000u, 0);
    guest_nap(1);
  }
  EXPECT_EQ(syscall(SYS_gettid), tid);
  EXPECT_EQ(getpid(), pid);
  return (void*)(intptr_t)(mine * 2);
}

static void* finish(void* threads) {
  for (int i = 0; i < kThreads; i++) {
    void* result;
    EXPECT_EQ(pthread_join(((pthread_t*)threads)[i], &result), 0);
    EXPECT_EQ((intptr_t)result, 2 * i);
  }
  _exit(90);
}

static void be_process(int number) {
  static pthread_t threads[kThreads];
  pthread_t last;
  for (int i = 0; i < kThreads; i++)
    EXPECT_EQ(pthread_create(&threads[i], 0, run, (void*)(intptr_t)i), 0);
  if (number != 0) finish(threads);
  EXPECT_EQ(pthread_create(&last, 0, finish, threads), 0);
  pthread_exit(0);
}

int main(void) {
  up = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  for (int i = 0; i < kProcesses; i++)
    if (fork() == 0) be_process(i);
  while (*up != kProcesses * kThreads) guest_nap(1);
  guest_nap(20);
  guest_ready();
  for (int i = 0; i < kProcesses; i++) {
    int status;
    EXPECT(wait(&status) > 0);
    EXPECT_EQ(WEXITSTATUS(status), 90);
  }
  EXPECT(guest_released());
  return guest_ok();
}
