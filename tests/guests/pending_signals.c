// Signals pending for thread and process, several of one number, with their values and senders.
#include <pthread.h>
#include <signal.h>

#include "guest.h"

static siginfo_t take(int signal) {
  sigset_t set;
  siginfo_t info;
  struct timespec none = {0, 0};
  sigemptyset(&set);
  sigaddset(&set, signal);
  EXPECT_EQ(sigtimedwait(&set, &info, &none), signal);
  return info;
}

int main(void) {
  sigset_t set, pending;
  sigemptyset(&set);
  int numbers[] = {SIGUSR1, SIGHUP, SIGRTMIN + 2, SIGRTMIN + 3};
  for (int i = 0; i < 4; i++) sigaddset(&set, numbers[i]);
  pthread_sigmask(SIG_BLOCK, &set, 0);
  for (int i = 1; i <= 3; i++) sigqueue(getpid(), SIGRTMIN + 2, (union sigval){.sival_int = i});
  pthread_sigqueue(pthread_self(), SIGRTMIN + 3, (union sigval){.sival_ptr = &set});
  pthread_kill(pthread_self(), SIGHUP);
  kill(getpid(), SIGUSR1);
  guest_ready();
  guest_wait();
  sigpending(&pending);
  for (int i = 0; i < 4; i++) EXPECT(sigismember(&pending, numbers[i]));
  for (int i = 1; i <= 3; i++) {
    siginfo_t info = take(SIGRTMIN + 2);
    EXPECT_EQ(info.si_value.sival_int, i);
    EXPECT_EQ(info.si_code, SI_QUEUE);
    EXPECT_EQ(info.si_pid, getpid());
  }
  EXPECT(take(SIGRTMIN + 3).si_value.sival_ptr == &set);
  EXPECT_EQ(take(SIGHUP).si_code, SI_USER);  // glibc turns SI_TKILL into this
  siginfo_t user = take(SIGUSR1);
  EXPECT_EQ(user.si_code, SI_USER);
  EXPECT_EQ(user.si_pid, getpid());
  EXPECT_EQ(user.si_uid, getuid());
  sigpending(&pending);
  EXPECT(sigisemptyset(&pending));
  return guest_ok();
}
