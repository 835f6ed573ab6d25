// write of more than a pipe holds. A checkpoint may cut it short, as POSIX allows; what was already
// taken is neither lost nor written twice.
// roundtrip: delay=0.4
#include <pthread.h>

#include "guest.h"

static volatile int woken;
static int ends[2];
enum { kBytes = 300000 };
static char data[kBytes], got[kBytes];

static void* block(void* unused) {
  for (ssize_t at = 0, part; at < kBytes; at += part) {
    part = write(ends[1], data + at, (size_t)(kBytes - at));
    EXPECT(part > 0);
  }
  woken = 1;
  return unused;
}

int main(void) {
  for (int i = 0; i < kBytes; i++) data[i] = (char)(i * 31 + i / 1000);
  EXPECT_EQ(pipe(ends), 0);
  pthread_t thread;
  pthread_create(&thread, 0, block, 0);
  guest_nap(20);
  guest_ready();
  guest_wait();
  EXPECT_EQ(woken, 0);
  for (int at = 0; at < kBytes;) {
    ssize_t part = read(ends[0], got + at, (size_t)(kBytes - at));
    EXPECT(part > 0);
    at += (int)part;
  }
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(woken, 1);
  EXPECT(memcmp(data, got, kBytes) == 0);
  EXPECT_EQ(fcntl(ends[0], F_SETFL, O_NONBLOCK), 0);
  EXPECT(read(ends[0], got, 1) == -1 && errno == EAGAIN);
  return guest_ok();
}
