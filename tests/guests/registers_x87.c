// x87 stack and control word, MXCSR rounding mode, direction flag: all as they were.
#include <fenv.h>
#include <pthread.h>

#include "guest.h"

static volatile int stop;
static void* watch(void* unused) {
  guest_wait();
  stop = 1;
  return unused;
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, watch, 0);
  fesetround(FE_UPWARD);  // sets both units
  unsigned before_mxcsr = __builtin_ia32_stmxcsr(), after_mxcsr;
  unsigned short before_cw, after_cw;
  __asm__ volatile("fnstcw %0" : "=m"(before_cw));
  long double pi = 0, log2e = 0;
  uint64_t flags;
  guest_ready();
  __asm__ volatile(
      "fldpi\n fldl2e\n std\n"
      "1: pause\n cmpl $0,%3\n je 1b\n"
      "pushfq\n popq %2\n cld\n fstpt %0\n fstpt %1\n"
      : "=m"(log2e), "=m"(pi), "=&r"(flags)
      : "m"(stop)
      : "memory", "cc");
  after_mxcsr = __builtin_ia32_stmxcsr();
  __asm__ volatile("fnstcw %0" : "=m"(after_cw));
  EXPECT(pi > 3.14159265358979323L && pi < 3.14159265358979325L);
  EXPECT(log2e > 1.4426950408889634L && log2e < 1.4426950408889636L);
  EXPECT(flags & 0x400);
  EXPECT_EQ(after_cw, before_cw);
  EXPECT_EQ(after_mxcsr & ~0x3fu, before_mxcsr & ~0x3fu);
  EXPECT_EQ(fegetround(), FE_UPWARD);
  pthread_join(thread, 0);
  return guest_ok();
}
