// The fs and gs bases, in the main thread and another.
#include <asm/prctl.h>
#include <pthread.h>

#include "guest.h"

static uint64_t block[2][4] = {{11, 12, 13, 14}, {21, 22, 23, 24}};

static uint64_t gs_word(void) {
  uint64_t value;
  __asm__ volatile("mov %%gs:8,%0" : "=r"(value));
  return value;
}

static void* run(void* argument) {
  long which = (long)argument;
  unsigned long fs, gs, fs_after = 0;
  EXPECT_EQ(syscall(SYS_arch_prctl, ARCH_SET_GS, block[which]), 0);
  EXPECT_EQ(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs), 0);
  if (which == 0) guest_ready();
  guest_wait();
  EXPECT_EQ(gs_word(), block[which][1]);
  EXPECT_EQ(syscall(SYS_arch_prctl, ARCH_GET_GS, &gs), 0);
  EXPECT_EQ(gs, block[which]);
  EXPECT_EQ(syscall(SYS_arch_prctl, ARCH_GET_FS, &fs_after), 0);
  EXPECT_EQ(fs_after, fs);
  return 0;
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, run, (void*)1);
  guest_nap(20);
  run(0);
  pthread_join(thread, 0);
  return guest_ok();
}
