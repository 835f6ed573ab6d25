// Guard pages (MADV_GUARD_INSTALL) in mappings of files and in shared memory (Linux 6.15). They
// hide the content, which is there again when they are removed; of private memory it is lost.
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102
#define MADV_GUARD_REMOVE 103
#endif
enum { kPage = 4096, kSize = 4 * kPage };

static int readable(const char* address) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  const int result = write(ends[1], address, 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return result;
}

static int sized(int fd) {
  EXPECT_EQ(ftruncate(fd, kSize), 0);
  return fd;
}

static char* guarded(int flags, int fd, uint64_t seed) {
  char* map = mmap(0, kSize, PROT_READ | PROT_WRITE, flags, fd, 0);
  EXPECT(map != MAP_FAILED);
  guest_fill(map, kSize, seed);
  if (madvise(map + kPage, kPage, MADV_GUARD_INSTALL) != 0)
    guest_skip("no guard pages of files in this kernel");
  return map;
}

static void expect_guard(const char* map, uint64_t seed) {
  EXPECT(readable(map) && !readable(map + kPage) && readable(map + 2 * kPage));
  EXPECT(guest_filled(map, kPage, seed));
  EXPECT(guest_filled(map + 2 * kPage, 2 * kPage, seed + 2 * kPage / 8));
}

static void expect_shared(char* map, uint64_t seed) {
  expect_guard(map, seed);
  EXPECT_EQ(madvise(map + kPage, kPage, MADV_GUARD_REMOVE), 0);
  EXPECT(guest_filled(map, kSize, seed));
}

int main(void) {
  int memory_file = memfd_create("memory", 0);
  char* anonymous = guarded(MAP_SHARED | MAP_ANONYMOUS, -1, 1);
  char* file = guarded(MAP_SHARED, sized(guest_file("data", "")), 2);
  char* memory = guarded(MAP_SHARED, sized(memory_file), 3);
  char* private = guarded(MAP_PRIVATE, sized(guest_file("private", "")), 4);
  char* deleted = guarded(MAP_PRIVATE, sized(guest_file("doomed", "")), 5);
  char* deleted_shared = guarded(MAP_SHARED, sized(guest_file("lost", "")), 6);
  EXPECT(unlink("doomed") == 0 && unlink("lost") == 0);
  close_range((unsigned)memory_file + 1, ~0u, 0);
  pid_t child = fork();
  if (child != 0) guest_ready();
  guest_wait();
  expect_guard(private, 4);
  expect_guard(deleted, 5);
  expect_shared(anonymous, 1);
  expect_shared(file, 2);
  expect_shared(memory, 3);
  expect_shared(deleted_shared, 6);
  if (child == 0) return 0;
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return guest_ok();
}
