// A program with a given amount of memory of a given kind, which touches one word of it several
// times a millisecond and writes the time to a file, so that pauses and first progress can be seen.
//   fill KIND MEGABYTES TICKS_FILE [DIRTY]     KIND: random text zero
// DIRTY: megabytes that it changes each second, page after page all over its memory.
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

static uint64_t now_ns(void) {
  struct timespec time;
  clock_gettime(CLOCK_REALTIME, &time);  // the same clock for observer and program, in any life
  return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void fill(const char* kind, unsigned char* memory, size_t bytes) {
  static const char* words[] = {
      "the ", "checkpoint ", "of ",   "a ",  "running ", "program ", "is ",    "written ",
      "and ", "restart ",    "from ", "an ", "image\n",  "42 ",      "every ", "process "};
  uint64_t state = 88172645463325252u;
  size_t at = 0;
  while (at + 16 < bytes) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    if (strcmp(kind, "random") == 0) {
      memcpy(memory + at, &state, 8);
      at += 8;
    } else if (strcmp(kind, "text") == 0) {
      const char* word = words[state % 16];
      size_t length = strlen(word);
      memcpy(memory + at, word, length);
      at += length;
    } else {
      memory[at] = 0;
      at += 4096;
    }
  }
}

// One word of each page, so that as many pages as the rate says are changed by `now`.
static uint64_t change_pages(unsigned char* memory, size_t bytes, uint64_t changed,
                             uint64_t until) {
  if (until > changed + 1024) changed = until - 1024;  // after a pause it does not catch up
  for (; changed < until; changed++) {
    volatile uint64_t* word = (volatile uint64_t*)(memory + changed * 61 * 4096 % bytes);
    *word += 1;
  }
  return changed;
}

int main(int count, char** arguments) {
  if (count != 4 && count != 5) return 64;
  const uint64_t pages_a_second = count == 5 ? strtoull(arguments[4], 0, 10) << 8 : 0;
  size_t bytes = strtoull(arguments[2], 0, 10) << 20;
  unsigned char* memory =
      mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  madvise(memory, bytes, MADV_NOHUGEPAGE);
  fill(arguments[1], memory, bytes);
  int fd = open(arguments[3], O_RDWR | O_CREAT, 0600);
  if (memory == MAP_FAILED || fd < 0 || ftruncate(fd, 4096) != 0) return 1;
  volatile uint64_t* shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  volatile uint64_t* words = (volatile uint64_t*)memory;
  printf("ready\n");
  fflush(stdout);
  // shared[0]: time of the last tick; shared[1]: the longest gap since an observer wrote 0 there.
  uint64_t last = now_ns();
  const uint64_t begin = last;
  uint64_t changed = 0;
  for (uint64_t tick = 0; shared[2] == 0; tick++) {
    struct timespec millisecond = {0, 200000};
    nanosleep(&millisecond, 0);
    size_t place = tick * 977 * 512 % (bytes / 8);
    words[place] = words[place] ^ (tick & 0);
    uint64_t now = now_ns();
    changed = change_pages(memory, bytes, changed, (now - begin) / 1000 * pages_a_second / 1000000);
    if (now - last > shared[1]) shared[1] = now - last;
    shared[0] = last = now;
  }
  return 0;
}
