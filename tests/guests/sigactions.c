// Dispositions of all signals: handlers with flags and masks, ignored ones, defaults.
#include <signal.h>

#include "guest.h"

static volatile int last;
static void on_signal(int signal) {
  last = signal;
}
static void on_info(int signal, siginfo_t* info, void* context) {
  (void)info, (void)context;
  last = signal + 1000;
}

int main(void) {
  struct sigaction plain = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
  struct sigaction info = {.sa_sigaction = on_info, .sa_flags = SA_SIGINFO | SA_NODEFER};
  struct sigaction once = {.sa_handler = on_signal, .sa_flags = (int)SA_RESETHAND};
  sigaddset(&plain.sa_mask, SIGHUP);
  sigaddset(&plain.sa_mask, SIGRTMAX);
  sigaction(SIGUSR1, &plain, 0);
  sigaction(SIGRTMAX, &info, 0);
  sigaction(SIGCONT, &once, 0);
  signal(SIGPIPE, SIG_IGN);
  signal(SIGRTMIN + 5, SIG_IGN);
  struct sigaction before[65], after;
  for (int s = 1; s < 65; s++) sigaction(s, 0, &before[s]);
  guest_ready();
  guest_wait();
  for (int s = 1; s < 65; s++) {
    if (s == 32 || s == 33) continue;  // glibc's own
    EXPECT_EQ(sigaction(s, 0, &after), 0);
    EXPECT(after.sa_handler == before[s].sa_handler);
    EXPECT_EQ(after.sa_flags, before[s].sa_flags);
    EXPECT(memcmp(&after.sa_mask, &before[s].sa_mask, 8) == 0);
  }
  raise(SIGUSR1);
  EXPECT_EQ(last, SIGUSR1);
  raise(SIGRTMAX);
  EXPECT_EQ(last, SIGRTMAX + 1000);
  raise(SIGCONT);
  EXPECT_EQ(last, SIGCONT);
  sigaction(SIGCONT, 0, &after);
  EXPECT(after.sa_handler == SIG_DFL);
  raise(SIGPIPE);
  return guest_ok();
}
