// FUTEX_WAIT on words in shared memory, anonymous and of a file, by several processes.
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

enum { kWaiters = 4 };

int main(void) {
  int fd = guest_file("words", "");
  EXPECT_EQ(ftruncate(fd, 4096), 0);
  uint32_t* words[2] = {
      mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
      mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0),
  };
  for (int i = 0; i < kWaiters; i++) {
    if (fork() != 0) continue;
    uint32_t* word = words[i % 2];
    __atomic_fetch_add(&word[1], 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == 0)
      EXPECT(syscall(SYS_futex, word, FUTEX_WAIT, 0, 0, 0, 0) == 0 || errno == EAGAIN);
    _exit(80 + i);
  }
  while (words[0][1] + words[1][1] != kWaiters) guest_nap(1);
  guest_nap(20);
  guest_ready();
  guest_wait();
  for (int i = 0; i < 2; i++) {
    __atomic_store_n(words[i], 1, __ATOMIC_SEQ_CST);
    EXPECT_EQ(syscall(SYS_futex, words[i], FUTEX_WAKE, 100, 0, 0, 0), kWaiters / 2);
  }
  int sum = 0, status;
  for (int i = 0; i < kWaiters; i++) {
    EXPECT(wait(&status) > 0);
    sum += WEXITSTATUS(status);
  }
  EXPECT_EQ(sum, 80 + 81 + 82 + 83);
  return guest_ok();
}
