// AVX-512 registers, masks included, hold their values while a loop is interrupted.
#include <pthread.h>

#include "guest.h"

__attribute__((target("avx512f,avx512bw"))) static void hold(const void* in, void* out,
                                                             volatile int* stop) {
  __asm__ volatile(
      "vmovdqu64 0(%0),%%zmm0\n vmovdqu64 64(%0),%%zmm15\n vmovdqu64 128(%0),%%zmm16\n"
      "vmovdqu64 192(%0),%%zmm31\n kmovq 256(%0),%%k1\n kmovq 264(%0),%%k7\n"
      "1: pause\n cmpl $0,(%2)\n je 1b\n"
      "vmovdqu64 %%zmm0,0(%1)\n vmovdqu64 %%zmm15,64(%1)\n vmovdqu64 %%zmm16,128(%1)\n"
      "vmovdqu64 %%zmm31,192(%1)\n kmovq %%k1,256(%1)\n kmovq %%k7,264(%1)\n"
      :
      : "r"(in), "r"(out), "r"(stop)
      : "memory", "cc", "xmm0", "xmm15", "xmm16", "xmm31", "k1", "k7");
}

static volatile int stop;
static void* watch(void* unused) {
  guest_wait();
  stop = 1;
  return unused;
}

int main(void) {
  if (!__builtin_cpu_supports("avx512bw")) guest_skip("this CPU has no AVX-512BW");
  char in[272], out[272];
  guest_fill(in, sizeof in, 99);
  pthread_t thread;
  pthread_create(&thread, 0, watch, 0);
  guest_ready();
  hold(in, out, &stop);
  EXPECT(guest_filled(out, sizeof out, 99));
  pthread_join(thread, 0);
  return guest_ok();
}
