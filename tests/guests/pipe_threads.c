// Threads that stream through a pipe: no byte is lost, doubled or out of order.
#include <pthread.h>

#include "guest.h"

static int ends[2];

static void* produce(void* unused) {
  (void)unused;
  uint32_t next = 0, block[600];
  while (!guest_released()) {
    for (int i = 0; i < 600; i++) block[i] = next++;
    char* at = (char*)block;
    for (size_t left = sizeof block; left;) {
      ssize_t wrote = write(ends[1], at, left);
      EXPECT(wrote > 0);
      at += wrote;
      left -= (size_t)wrote;
    }
  }
  close(ends[1]);
  return (void*)(uintptr_t)next;
}

int main(void) {
  EXPECT_EQ(pipe(ends), 0);
  pthread_t thread;
  pthread_create(&thread, 0, produce, 0);
  guest_ready();
  unsigned char block[777];
  uint32_t word = 0, expected = 0;
  unsigned filled = 0;
  for (ssize_t got; (got = read(ends[0], block, sizeof block)) != 0;) {
    EXPECT(got > 0);
    for (ssize_t i = 0; i < got; i++) {
      word |= (uint32_t)block[i] << 8 * filled;
      if (++filled == 4) {
        EXPECT_EQ(word, expected++);
        word = filled = 0;
      }
    }
  }
  void* sent;
  pthread_join(thread, &sent);
  EXPECT_EQ(expected, (uintptr_t)sent);
  return guest_ok();
}
