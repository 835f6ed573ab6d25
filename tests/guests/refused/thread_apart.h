// A process with a thread that goes apart in a way which no image keeps.
#include <pthread.h>

#include "../guest.h"

static void go_apart(void);
static pthread_barrier_t apart;

static void* run_apart(void* unused) {
  go_apart();
  pthread_barrier_wait(&apart);
  guest_wait();
  return unused;
}

int main(void) {
  pthread_t thread;
  pthread_barrier_init(&apart, NULL, 2);
  EXPECT_EQ(pthread_create(&thread, NULL, run_apart, NULL), 0);
  pthread_barrier_wait(&apart);
  guest_ready();
  EXPECT_EQ(pthread_join(thread, NULL), 0);
  return guest_ok();
}
