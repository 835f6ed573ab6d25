// A POSIX timer whose signal goes to one thread (SIGEV_THREAD_ID), and not to another.
// roundtrip: delay=0.5
#include <pthread.h>
#include <signal.h>

#include "guest.h"

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

static volatile int right, wrong;
static volatile pid_t target;
static void on_timer(int signal) {
  (void)signal;
  if (gettid() == target)
    right++;
  else
    wrong++;
}

static void* run(void* unused) {
  target = gettid();
  guest_wait();
  int before = right;
  for (int i = 0; i < 400 && right < before + 3; i++) guest_nap(20);
  EXPECT(right >= before + 3);
  return unused;
}

int main(void) {
  struct sigaction action = {.sa_handler = on_timer, .sa_flags = SA_RESTART};
  sigaction(SIGUSR1, &action, 0);
  pthread_t thread;
  pthread_create(&thread, 0, run, 0);
  while (target == 0) guest_nap(1);
  timer_t timer;
  struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
  event.sigev_notify_thread_id = target;
  EXPECT_EQ(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
  struct itimerspec tick = {{0, 20000000}, {0, 20000000}};
  EXPECT_EQ(timer_settime(timer, 0, &tick, 0), 0);
  guest_ready();
  guest_wait();
  pthread_join(thread, 0);
  EXPECT_EQ(wrong, 0);
  return guest_ok();
}
