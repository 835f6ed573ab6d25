// libc's own uses of ids agree with getpid(): raise, abort, pthread_kill, pthread_cancel of a
// thread that waits, and setuid's signal to all threads.
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>

#include "guest.h"

static volatile sig_atomic_t handler_thread;
static pid_t child;
static volatile int cleaned;

static void handle(int number) {
  (void)number;
  handler_thread = gettid();
}

static void clean(void* unused) {
  (void)unused;
  cleaned++;
}

static void* wait_for_child(void* own) {
  *(volatile pid_t*)own = gettid();
  pthread_cleanup_push(clean, 0);
  while (waitpid(child, 0, 0) < 0) continue;
  pthread_cleanup_pop(0);
  return 0;
}

static void* wait_for_signal(void* own) {
  *(volatile pid_t*)own = gettid();
  sigset_t none;
  sigemptyset(&none);
  while (sigsuspend(&none) != 0) continue;
  return 0;
}

int main(void) {
  struct sigaction action = {0};
  action.sa_handler = handle;
  sigaction(SIGUSR1, &action, 0);
  child = fork();
  if (child == 0)
    for (;;) pause();
  pthread_t threads[2];
  volatile pid_t ids[2] = {0, 0};
  pthread_create(&threads[0], 0, wait_for_child, (void*)&ids[0]);
  pthread_create(&threads[1], 0, wait_for_signal, (void*)&ids[1]);
  while (!ids[0] || !ids[1]) guest_nap(1);
  guest_ready();
  guest_wait();
  for (int i = 0; i < 2; i++) {
    handler_thread = 0;
    EXPECT_EQ(pthread_kill(threads[i], SIGUSR1), 0);
    for (int naps = 0; handler_thread == 0 && naps < 2000; naps++) guest_nap(1);
    EXPECT_EQ(handler_thread, ids[i]);
  }
  for (int i = 0; i < 2; i++) {
    void* result = 0;
    EXPECT_EQ(pthread_cancel(threads[i]), 0);
    EXPECT_EQ(pthread_join(threads[i], &result), 0);
    EXPECT(i == 1 || result == PTHREAD_CANCELED);
  }
  EXPECT_EQ(cleaned, 1);
  handler_thread = 0;
  EXPECT_EQ(raise(SIGUSR1), 0);
  EXPECT_EQ(handler_thread, getpid());
  EXPECT_EQ(setresuid((uid_t)-1, getuid(), (uid_t)-1), 0);
  kill(child, SIGKILL);
  EXPECT_EQ(waitpid(child, 0, 0), child);
  pid_t aborting = fork();
  if (aborting == 0) abort();
  int status;
  EXPECT_EQ(waitpid(aborting, &status, 0), aborting);
  EXPECT_EQ(WTERMSIG(status), SIGABRT);
  return guest_ok();
}
