// Forked workers share their parent's pages until one writes: each keeps its own differences.
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

enum { kPages = 4096, kPage = 4096, kWorkers = 6 };
static unsigned char* block;
static unsigned char* file;

static int is_zero(const unsigned char* page) {
  for (int i = 0; i < kPage; i++)
    if (page[i] != 0) return 0;
  return 1;
}

static int is_plain(int page) {
  return guest_filled(block + (size_t)page * kPage, kPage, (uint64_t)page);
}

static unsigned char* change(int worker) {
  unsigned char* more = 0;
  if (worker == 0) block[100 * kPage] ^= 1;
  if (worker == 1) memset(block + 200 * kPage, 0, 50 * kPage);
  if (worker == 2) madvise(block + 300 * kPage, 60 * kPage, MADV_DONTNEED);
  if (worker == 3) more = sbrk(40 * kPage);
  if (worker == 3) memset(more, 7, 40 * kPage);
  if (worker == 4) mprotect(block + 400 * kPage, kPage, PROT_READ);
  if (worker == 4) munmap(block + 1000 * kPage, kPage * 100);
  if (worker == 5) madvise(file, kPage, MADV_DONTNEED);
  return more;
}

static void check(int worker, const unsigned char* more) {
  for (int page = 0; page < kPages; page++) {
    const unsigned char* at = block + (size_t)page * kPage;
    if (worker == 0 && page == 100) {
      block[100 * kPage] ^= 1;
      EXPECT(is_plain(page));
    } else if ((worker == 1 && page >= 200 && page < 250) ||
               (worker == 2 && page >= 300 && page < 360)) {
      EXPECT(is_zero(at));
    } else if (worker == 4 && page >= 1000 && page < 1100) {
      unsigned char there;
      EXPECT(mincore((void*)at, kPage, &there) == -1 && errno == ENOMEM);
    } else {
      EXPECT(is_plain(page));
    }
  }
  if (worker == 3)
    for (int i = 0; i < 40 * kPage; i++) EXPECT_EQ(more[i], 7);
  EXPECT_EQ(file[0], worker == 5 ? 'f' : 'X');
}

int main(void) {
  int fd = guest_file("data", "file content");
  file = mmap(0, kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  file[0] = 'X';
  block =
      mmap(0, (size_t)kPages * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  for (int page = 0; page < kPages; page++)
    guest_fill(block + (size_t)page * kPage, kPage, (uint64_t)page);
  int ready[2];
  EXPECT(pipe(ready) == 0);
  pid_t pids[kWorkers];
  for (int i = 0; i < kWorkers; i++) {
    pids[i] = fork();
    if (pids[i] != 0) continue;
    const unsigned char* more = change(i);
    EXPECT_EQ(write(ready[1], "r", 1), 1);
    guest_wait();
    check(i, more);
    _exit(0);
  }
  for (int i = 0; i < kWorkers; i++) {
    char byte;
    EXPECT_EQ(read(ready[0], &byte, 1), 1);
  }
  guest_ready();
  guest_wait();
  check(-1, 0);
  for (int i = 0; i < kWorkers; i++) {
    int status = 1;
    EXPECT_EQ(waitpid(pids[i], &status, 0), pids[i]);
    EXPECT_EQ(status, 0);
  }
  return guest_ok();
}
