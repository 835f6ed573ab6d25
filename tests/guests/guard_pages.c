// PROT_NONE guards still catch, at the very address, after a restart; so does the stack's end.
#include <setjmp.h>
#include <signal.h>
#include <sys/mman.h>

#include "guest.h"

static sigjmp_buf back;
static void* volatile fault_at;

static void on_fault(int signal, siginfo_t* info, void* context) {
  (void)signal, (void)context;
  fault_at = info->si_addr;
  siglongjmp(back, 1);
}

int main(void) {
  char* area = mmap(0, 12288, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  guest_fill(area, 12288, 3);
  EXPECT_EQ(mprotect(area, 4096, PROT_NONE), 0);
  EXPECT_EQ(mprotect(area + 8192, 4096, PROT_NONE), 0);
  struct sigaction action = {.sa_sigaction = on_fault, .sa_flags = SA_SIGINFO};
  sigaction(SIGSEGV, &action, 0);
  guest_ready();
  guest_wait();
  char* probes[] = {area + 4095, area + 8192, area + 100, area + 12287};
  for (int i = 0; i < 4; i++) {
    fault_at = 0;
    if (sigsetjmp(back, 1) == 0) {
      *(volatile char*)probes[i] = 1;
      guest_fail("guard %d did not catch", i);
    }
    EXPECT(fault_at == probes[i]);
  }
  EXPECT(guest_filled(area + 4096, 4096, 3 + 512));
  return guest_ok();
}
