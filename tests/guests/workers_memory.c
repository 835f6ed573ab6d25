// Forked workers that share the parent's memory copy-on-write and have changed parts of it.
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

enum { kWorkers = 6, kParts = 16 };
static const size_t kPart = 1 << 20;

static void expect_parts(char* memory, int changed, uint64_t seed) {
  for (int part = 0; part < kParts; part++) {
    uint64_t expected = part == changed ? seed : (uint64_t)part;
    EXPECT(guest_filled(memory + (size_t)part * kPart, kPart, expected));
  }
}

int main(void) {
  char* memory =
      mmap(0, kPart * kParts, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  pid_t workers[kWorkers];
  for (int part = 0; part < kParts; part++)
    guest_fill(memory + (size_t)part * kPart, kPart, (uint64_t)part);
  for (int i = 0; i < kWorkers; i++) {
    workers[i] = fork();
    if (workers[i] != 0) continue;
    guest_fill(memory + (size_t)(2 * i) * kPart, kPart, 1000 + (uint64_t)i);
    munmap(memory + (kParts - 1) * kPart, kPart);
    guest_wait();
    mmap(memory + (kParts - 1) * kPart, kPart, PROT_READ | PROT_WRITE,
         MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    guest_fill(memory + (kParts - 1) * kPart, kPart, kParts - 1);
    expect_parts(memory, 2 * i, 1000 + (uint64_t)i);
    _exit(0);
  }
  guest_nap(50);
  guest_ready();
  guest_wait();
  expect_parts(memory, -1, 0);
  for (int i = 0; i < kWorkers; i++) {
    int status;
    EXPECT_EQ(waitpid(workers[i], &status, 0), workers[i]);
    EXPECT_EQ(status, 0);
  }
  return guest_ok();
}
