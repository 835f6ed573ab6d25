// A thread that has given up its capabilities: ckpt must refuse by name and
// leave it alone.
#include <linux/capability.h>
#include <pthread.h>

#include "../guest.h"

static pthread_barrier_t ready;

static void* run(void* unused) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct none[2] = {{0}};
  EXPECT_EQ(syscall(SYS_capset, &header, none), 0);
  pthread_barrier_wait(&ready);
  guest_wait();
  return unused;
}

int main(void) {
  pthread_t thread;
  pthread_barrier_init(&ready, NULL, 2);
  EXPECT_EQ(pthread_create(&thread, NULL, run, NULL), 0);
  pthread_barrier_wait(&ready);
  guest_ready();
  EXPECT_EQ(pthread_join(thread, NULL), 0);
  return guest_ok();
}
