// AMX tile registers and their configuration hold their values while a loop is interrupted.
#include <asm/prctl.h>
#include <cpuid.h>
#include <pthread.h>

#include "guest.h"

enum { kArchReqXcompPerm = 0x1023, kTileData = 18, kTileBytes = 1024 };

static volatile int stop;
static void* watch(void* unused) {
  guest_wait();
  stop = 1;
  return unused;
}

__attribute__((target("amx-tile"))) static void hold(const void* config, const char* in,
                                                     char* out) {
  __asm__ volatile(
      "ldtilecfg (%0)\n tileloadd (%1,%3,1),%%tmm0\n tileloadd 1024(%1,%3,1),%%tmm7\n"
      "1: pause\n cmpl $0,(%4)\n je 1b\n"
      "tilestored %%tmm0,(%2,%3,1)\n tilestored %%tmm7,1024(%2,%3,1)\n tilerelease\n"
      :
      : "r"(config), "r"(in), "r"(out), "r"(64L), "r"(&stop)
      : "memory", "cc");
}

int main(void) {
  unsigned a, b, c, d;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & 1u << 24))
    guest_skip("this CPU has no AMX");
  if (syscall(SYS_arch_prctl, kArchReqXcompPerm, kTileData) != 0)
    guest_skip("the kernel does not allow AMX");
  static char in[2 * kTileBytes], out[2 * kTileBytes];
  static unsigned char config[64] __attribute__((aligned(64)));
  config[0] = 1;
  for (int tile = 0; tile < 8; tile++) {
    config[16 + 2 * tile] = 64;  // bytes a row
    config[48 + tile] = 16;      // rows
  }
  guest_fill(in, sizeof in, 123);
  pthread_t thread;
  pthread_create(&thread, 0, watch, 0);
  guest_ready();
  hold(config, in, out);
  EXPECT(guest_filled(out, sizeof out, 123));
  pthread_join(thread, 0);
  return guest_ok();
}
