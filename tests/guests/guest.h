// What every guest program uses. A guest shows one behaviour and checks itself:
//
//   1. it sets its state up and calls guest_ready(): "ready" on stdout, once;
//   2. it works or blocks. The harness checkpoints, kills and restarts it meanwhile. It learns that
//      this is over when the file named by $GUEST_GO appears (guest_released(), guest_wait()), or,
//      where it blocks in a call, by the end of that call;
//   3. it checks its state in full and returns guest_ok(): "ok" on stdout, status 0. EXPECT() that
//      does not hold prints "FAILED: …" and ends the guest with status 1. A guest that this machine
//      cannot run calls guest_skip(): "SKIP: why", status 77.
//
// Directives for the harness stand in a comment line "// roundtrip: WORD…" of the guest:
//   delay=S      seconds of the guest's work, over which the checkpoints are spread (default 0.2)
//   modes=A,B    only these scenarios (resume restart twice ten real virtual ways crowded)
//   ten          also ten generations
//   crowded      also with few pids (--pids virtual)
//   state=no     /proc state changes by itself: do not compare it
//   check=no     ckpt check cannot see from outside that nothing would be lost
//   maps=no      mappings change by themselves
//   run=KIND     how to start it (see roundtrip.py: plain, exec-chain, clean-environment)
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

// Of the engine: a build with sanitizers is given that much more time.
#ifndef GUEST_SLOWNESS
#define GUEST_SLOWNESS 1
#endif
#define GUEST_DEADLINE_SECONDS (60 * GUEST_SLOWNESS)
enum { kGuestSkipped = 77 };

__attribute__((noreturn, format(printf, 1, 2))) static inline void guest_fail(const char* format,
                                                                              ...) {
  int error = errno;
  char text[600];
  va_list arguments;
  va_start(arguments, format);
  int used = vsnprintf(text, sizeof text - 32, format, arguments);
  va_end(arguments);
  if (used > (int)sizeof text - 33) used = (int)sizeof text - 33;
  printf("FAILED: %s (errno %d)\n", used < 0 ? format : text, error);
  fflush(stdout);
  _exit(1);
}

#define GUEST_STR2(x) #x
#define GUEST_STR(x) GUEST_STR2(x)
#define EXPECT(condition) \
  ((condition) ? (void)0 : guest_fail("%s", "line " GUEST_STR(__LINE__) ": " #condition))
#define EXPECT_EQ(actual, expected)                                                              \
  do {                                                                                           \
    long long guest_a = (long long)(actual), guest_e = (long long)(expected);                    \
    if (guest_a != guest_e)                                                                      \
      guest_fail("line %d: %s is %lld (0x%llx), expected %s = %lld (0x%llx)", __LINE__, #actual, \
                 guest_a, guest_a, #expected, guest_e, guest_e);                                 \
  } while (0)

// A system call that no library can wrap.
static inline long guest_raw(long number, long a, long b, long c, long d, long e, long f) {
  long result;
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  register long r9 __asm__("r9") = f;
  __asm__ volatile("syscall"
                   : "=a"(result)
                   : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                   : "rcx", "r11", "memory");
  return result;
}

static inline double guest_now(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static inline void guest_ready(void) {
  printf("ready\n");
  fflush(stdout);
}

static inline int guest_ok(void) {
  printf("ok\n");
  fflush(stdout);
  return 0;
}

__attribute__((noreturn)) static inline void guest_skip(const char* reason) {
  printf("SKIP: %s\n", reason);
  fflush(stdout);
  _exit(kGuestSkipped);
}

// True once the checkpoints and restarts are over. Ends a guest that nobody releases: counted is
// time in which it ran, not that of a pause between two calls, be it the job's or the whole
// machine's.
static inline int guest_released(void) {
  static double last, waited;
  struct stat about;
  const char* go = getenv("GUEST_GO");
  if (!go) guest_fail("GUEST_GO is not set");
  double now = guest_now(), passed = last == 0 ? 0 : now - last;
  last = now;
  waited += passed < 1 ? passed : 1;
  if (waited > GUEST_DEADLINE_SECONDS)
    guest_fail("not released within %d s", GUEST_DEADLINE_SECONDS);
  return guest_raw(SYS_newfstatat, AT_FDCWD, (long)go, (long)&about, 0, 0, 0) == 0;
}

static inline void guest_nap(long milliseconds) {
  struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
  guest_raw(SYS_nanosleep, (long)&time, 0, 0, 0, 0, 0);
}

static inline void guest_wait(void) {
  while (!guest_released()) guest_nap(5);
}

// For guests that block with a time-out: it must end neither early nor anew. Restarting it from the
// beginning would add at least half the guest's delay, which is more than the tolerance. With
// $GUEST_CLOCK_GOES_ON (--pids virtual) the clock has gone on while the job was down.
#define GUEST_BLOCK_SECONDS (4 * GUEST_SLOWNESS)
#define guest_expect_elapsed(start) guest_expect_elapsed_at(__LINE__, start, GUEST_BLOCK_SECONDS)
static inline void guest_expect_elapsed_at(int line, double start, double seconds) {
  double elapsed = guest_now() - start;
  if (elapsed < seconds - 0.02) guest_fail("line %d: ended early, after %.3f s", line, elapsed);
  if (elapsed > seconds + 0.9 * GUEST_SLOWNESS && !getenv("GUEST_CLOCK_GOES_ON"))
    guest_fail("line %d: ended late, after %.3f s", line, elapsed);
}

// Fills and checks memory with a pattern that depends on the seed and on each word's place.
static inline void guest_fill(void* memory, size_t bytes, uint64_t seed) {
  uint64_t* words = (uint64_t*)memory;
  for (size_t i = 0; i < bytes / 8; i++) words[i] = (seed + i) * 0x9e3779b97f4a7c15u;
}
static inline int guest_filled(const void* memory, size_t bytes, uint64_t seed) {
  const uint64_t* words = (const uint64_t*)memory;
  for (size_t i = 0; i < bytes / 8; i++)
    if (words[i] != (seed + i) * 0x9e3779b97f4a7c15u) return 0;
  return 1;
}

// A file in the guest's own folder (its working directory at start).
static inline int guest_file(const char* name, const char* text) {
  int fd = open(name, O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text)) guest_fail("file %s", name);
  return fd;
}
