// General and AVX2 registers hold their values while a loop without calls is interrupted.
#include "guest.h"

// Loads all registers, spins until *stop, stores them. Nothing but the kernel can change them.
__attribute__((target("avx2"))) static void hold(const void* in, void* out, volatile int* stop) {
  __asm__ volatile(
      "vmovdqu 0(%0),%%ymm0\n vmovdqu 32(%0),%%ymm1\n vmovdqu 64(%0),%%ymm7\n"
      "vmovdqu 96(%0),%%ymm15\n mov 128(%0),%%r12\n mov 136(%0),%%r15\n mov 144(%0),%%r9\n"
      "1: pause\n cmpl $0,(%2)\n je 1b\n"
      "vmovdqu %%ymm0,0(%1)\n vmovdqu %%ymm1,32(%1)\n vmovdqu %%ymm7,64(%1)\n"
      "vmovdqu %%ymm15,96(%1)\n mov %%r12,128(%1)\n mov %%r15,136(%1)\n mov %%r9,144(%1)\n"
      :
      : "r"(in), "r"(out), "r"(stop)
      : "memory", "cc", "xmm0", "xmm1", "xmm7", "xmm15", "r12", "r15", "r9");
}

#include <pthread.h>
static volatile int stop;
static void* watch(void* unused) {
  guest_wait();
  stop = 1;
  return unused;
}

int main(void) {
  if (!__builtin_cpu_supports("avx2")) guest_skip("this CPU has no AVX2");
  char in[160], out[160];
  guest_fill(in, sizeof in, 77);
  pthread_t thread;
  pthread_create(&thread, 0, watch, 0);
  guest_ready();
  hold(in, out, &stop);
  EXPECT(guest_filled(out, 152, 77));
  pthread_join(thread, 0);
  return guest_ok();
}
