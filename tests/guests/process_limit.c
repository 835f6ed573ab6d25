// No room for another process or thread (RLIMIT_NPROC), neither for the copies that a checkpoint
// reads from.
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "guest.h"

static const size_t kBytes = 4 << 20;
static char* memory;

static void* stay(void* unused) {
  guest_wait();
  return unused;
}

static void check(uint64_t seed, pthread_t thread) {
  struct rlimit limit;
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(getrlimit(RLIMIT_NPROC, &limit), 0);
  EXPECT(limit.rlim_cur == 1);
  EXPECT(guest_filled(memory, kBytes, seed));
}

int main(void) {
  struct rlimit limit;
  pthread_t thread;
  EXPECT_EQ(getrlimit(RLIMIT_NPROC, &limit), 0);
  limit.rlim_cur = 1;
  memory = mmap(0, kBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  guest_fill(memory, kBytes, 1);
  int ready[2];
  EXPECT_EQ(pipe(ready), 0);
  pid_t child = fork();
  uint64_t seed = child == 0 ? 2 : 1;
  EXPECT_EQ(pthread_create(&thread, 0, stay, 0), 0);
  EXPECT_EQ(setrlimit(RLIMIT_NPROC, &limit), 0);
  guest_fill(memory, kBytes, seed);
  if (child == 0) {
    EXPECT_EQ(write(ready[1], "r", 1), 1);
    check(seed, thread);
    _exit(17);
  }
  char byte;
  EXPECT_EQ(read(ready[0], &byte, 1), 1);
  guest_ready();
  check(seed, thread);
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 17);
  return guest_ok();
}
