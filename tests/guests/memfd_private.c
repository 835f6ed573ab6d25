// Private mappings of memfds: each process keeps the pages that it has written, and goes on to see
// the file under the others; the file itself is not what was written privately. One memfd stays
// open, the descriptor of the other is closed.
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

enum { kPage = 4096, kPages = 8, kSize = kPages * kPage };

static int memory_file(const char* name, uint64_t seed) {
  int fd = memfd_create(name, MFD_CLOEXEC);
  EXPECT_EQ(ftruncate(fd, kSize), 0);
  char* all = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  EXPECT(all != MAP_FAILED);
  guest_fill(all, kSize, seed);
  EXPECT_EQ(munmap(all, kSize), 0);
  return fd;
}

static char* map_private(int fd) {
  char* map = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
  EXPECT(map != MAP_FAILED);
  return map;
}

static int has_own_page(const char* map, uint64_t seed, uint64_t own) {
  return guest_filled(map, kPage, seed) && guest_filled(map + kPage, kPage, own) &&
         guest_filled(map + 2 * kPage, kSize - 2 * kPage, seed + 2 * kPage / 8);
}

int main(void) {
  int fd = memory_file("open", 1);
  char* open = map_private(fd);
  int other = memory_file("closed", 2);
  char* closed = map_private(other);
  EXPECT_EQ(close(other), 0);
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  pid_t child = fork();
  uint64_t own = child == 0 ? 77 : 88;
  guest_fill(open + kPage, kPage, own);
  guest_fill(closed + kPage, kPage, own);
  char done = 0;
  if (child == 0) EXPECT_EQ(write(ends[1], &done, 1), 1);
  if (child != 0) {
    EXPECT_EQ(read(ends[0], &done, 1), 1);
    guest_ready();
  }
  guest_wait();
  EXPECT(has_own_page(open, 1, own));
  EXPECT(has_own_page(closed, 2, own));
  char* file = mmap(0, kSize, PROT_READ, MAP_SHARED, fd, 0);
  EXPECT(guest_filled(file, kSize, 1));
  if (child == 0) return 0;
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ(pwrite(fd, "Z", 1, 5 * kPage), 1);
  EXPECT_EQ(open[5 * kPage], 'Z');
  return guest_ok();
}
