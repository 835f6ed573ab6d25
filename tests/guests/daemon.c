// A daemon by double fork, in a session whose leader has ended, with a child of its own; and
// process groups, one of them without its leader.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

static struct {
  volatile pid_t daemon, worker, session, grouped, group;
  volatile int checked;
} * shared;

static void hold(pid_t parent, pid_t session, pid_t group) {
  while (!guest_released()) guest_nap(5);
  if (session != 0) EXPECT_EQ(getsid(0), session);
  EXPECT_EQ(getpgrp(), group);
  if (parent != 0) EXPECT_EQ(getppid(), parent);
  __atomic_fetch_add(&shared->checked, 1, __ATOMIC_SEQ_CST);
}

static void be_daemon(void) {
  shared->session = setsid();
  if (fork() != 0) _exit(0);
  shared->daemon = getpid();
  if (fork() == 0) {
    setpgid(0, 0);
    shared->worker = getpid();
    hold(shared->daemon, shared->session, getpid());
    _exit(0);
  }
  hold(0, shared->session, shared->session);
  wait(0);
  _exit(0);
}

static void be_group(void) {
  setpgid(0, 0);
  shared->group = getpid();
  pid_t member = fork();
  if (member != 0) _exit(0);
  shared->grouped = getpid();
  hold(0, 0, shared->group);
  _exit(0);
}

int main(void) {
  shared = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (fork() == 0) be_daemon();
  if (fork() == 0) be_group();
  wait(0);
  wait(0);
  while (!shared->worker || !shared->grouped || !shared->daemon) guest_nap(1);
  guest_nap(20);
  guest_ready();
  guest_wait();
  for (int i = 0; i < 1000 && shared->checked < 3; i++) guest_nap(5);
  EXPECT_EQ(shared->checked, 3);
  return guest_ok();
}
