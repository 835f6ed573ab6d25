// POSIX timers that have fired while their signals are blocked: the kernel starts them again when
// the signals are taken, or discards these where they are ignored.
// roundtrip: modes=resume,restart,twice,real,virtual
#include <signal.h>

#include "guest.h"

enum { kTimers = 3, kFirst = 40 };  // of real-time signals

static volatile int fired[kTimers];
static void on_timer(int signal, siginfo_t* info, void* context) {
  (void)context;
  EXPECT_EQ(info->si_code, SI_TIMER);
  fired[signal - kFirst]++;
}

int main(void) {
  const clockid_t clocks[kTimers] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_THREAD_CPUTIME_ID};
  struct sigaction action = {.sa_sigaction = on_timer, .sa_flags = SA_SIGINFO | SA_RESTART};
  timer_t timers[kTimers];
  sigset_t blocked, pending;
  sigemptyset(&blocked);
  for (int i = 0; i < kTimers; i++) {
    sigaction(kFirst + i, &action, 0);
    sigaddset(&blocked, kFirst + i);
  }
  sigprocmask(SIG_BLOCK, &blocked, 0);
  for (int i = 0; i < kTimers; i++) {
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = kFirst + i};
    struct itimerspec time = {{0, 30000000}, {0, 10000000}};
    EXPECT_EQ(timer_create(clocks[i], &event, &timers[i]), 0);
    EXPECT_EQ(timer_settime(timers[i], 0, &time, 0), 0);
  }
  int waiting;
  do {
    sigpending(&pending);
    waiting = 0;
    for (int i = 0; i < kTimers; i++) waiting += !sigismember(&pending, kFirst + i);
  } while (waiting != 0);
  guest_ready();
  guest_wait();
  for (int i = 0; i < kTimers; i++) EXPECT_EQ(fired[i], 0);
  sigprocmask(SIG_UNBLOCK, &blocked, 0);
  for (int i = 0; i < kTimers; i++) EXPECT(fired[i] >= 1);
  const double start = guest_now();
  while (guest_now() < start + 20 && (fired[0] < 4 || fired[1] < 4 || fired[2] < 4)) {
  }
  for (int i = 0; i < kTimers; i++) EXPECT(fired[i] >= 4);
  return guest_ok();
}
