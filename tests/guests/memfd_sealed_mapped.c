// A memfd that is sealed against writing and mapped shared for reading (Linux 6.7), as a Wayland
// client maps its keymap: by a descriptor for both, and by one for reading. And one that is sealed
// against writing in the future only, where an older mapping still writes.
#include <sys/mman.h>

#include "guest.h"

enum { kSize = 2 * 4096 };
static const int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

static int memory_file(const char* name) {
  int fd = memfd_create(name, MFD_ALLOW_SEALING);
  EXPECT_EQ(ftruncate(fd, kSize), 0);
  EXPECT_EQ(pwrite(fd, "for good", 8, 4096), 8);
  return fd;
}

static int read_only(int fd) {
  char path[40];
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  int reader = open(path, O_RDONLY | O_CLOEXEC);
  EXPECT(reader >= 0);
  return reader;
}

int main(void) {
  int fd = memory_file("sealed");
  EXPECT_EQ(fcntl(fd, F_ADD_SEALS, kSeals), 0);
  char* map = mmap(0, kSize, PROT_READ, MAP_SHARED, fd, 0);
  if (map == MAP_FAILED && errno == EPERM) guest_skip("no such mappings in this kernel");
  int reader = read_only(fd);
  char* by_reader = mmap(0, kSize, PROT_READ, MAP_SHARED, reader, 0);
  EXPECT(by_reader != MAP_FAILED && close(reader) == 0);
  int later = memory_file("sealed later");
  char* writable = mmap(0, kSize, PROT_READ | PROT_WRITE, MAP_SHARED, later, 0);
  EXPECT_EQ(fcntl(later, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0);
  guest_ready();
  guest_wait();
  EXPECT(memcmp(map + 4096, "for good", 8) == 0);
  EXPECT(memcmp(by_reader + 4096, "for good", 8) == 0);
  EXPECT(mprotect(map, kSize, PROT_READ | PROT_WRITE) == -1 && errno == EACCES);
  EXPECT_EQ(fcntl(fd, F_GET_SEALS), kSeals);
  EXPECT_EQ(fcntl(later, F_GET_SEALS), F_SEAL_FUTURE_WRITE);
  writable[9] = 'Z';
  char byte = 0;
  EXPECT_EQ(pread(later, &byte, 1, 9), 1);
  EXPECT_EQ(byte, 'Z');
  return guest_ok();
}
