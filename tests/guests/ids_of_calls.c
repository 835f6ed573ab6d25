// Calls that take the id of a child, a thread or the caller itself go on meaning the same one.
#include <linux/kcmp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "guest.h"

static volatile int thread_id, over;

static void* idle(void* unused) {
  thread_id = gettid();
  while (!over) guest_nap(2);
  return unused;
}

// They may be those of a restart (--pids real), which may come between two calls.
static void check_group_and_session(pid_t child) {
  int group, session, its_group, its_session;
  do {
    group = getpgrp();
    session = getsid(0);
    its_group = getpgid(child);
    its_session = getsid(child);
  } while (group != getpgrp() || session != getsid(0));
  EXPECT_EQ(its_group, group);
  EXPECT_EQ(its_session, session);
}

static void check(pid_t child, int secret) {
  int ids[] = {getpid(), thread_id, child};
  for (int i = 0; i < 3; i++) {
    cpu_set_t set;
    struct sched_param param;
    struct rlimit limit;
    EXPECT_EQ(sched_getaffinity(ids[i], sizeof set, &set), 0);
    EXPECT_EQ(sched_getscheduler(ids[i]), SCHED_OTHER);
    EXPECT_EQ(sched_getparam(ids[i], &param), 0);
    EXPECT_EQ(setpriority(PRIO_PROCESS, (id_t)ids[i], 3), 0);
    EXPECT_EQ(getpriority(PRIO_PROCESS, (id_t)ids[i]), 3);
    EXPECT(guest_raw(SYS_ioprio_get, 1, ids[i], 0, 0, 0, 0) >= 0);
    if (i != 1) EXPECT_EQ(prlimit(ids[i], RLIMIT_NOFILE, 0, &limit), 0);
  }
  int copy = 0;
  struct iovec here = {&copy, sizeof copy}, there = {&secret, sizeof secret};
  EXPECT_EQ(process_vm_readv(getpid(), &here, 1, &there, 1, 0), (int)sizeof copy);
  EXPECT_EQ(copy, secret);
  EXPECT_EQ(guest_raw(SYS_kcmp, getpid(), child, KCMP_FS, 0, 0, 0) != 0, 1);
  EXPECT_EQ(guest_raw(SYS_kcmp, getpid(), getpid(), KCMP_VM, 0, 0, 0), 0);
  check_group_and_session(child);
  EXPECT_EQ(kill(child, 0), 0);
  int fd = (int)guest_raw(SYS_pidfd_open, child, 0, 0, 0, 0, 0);
  EXPECT(fd >= 0);
  EXPECT_EQ(guest_raw(SYS_pidfd_send_signal, fd, 0, 0, 0, 0, 0), 0);
  close(fd);
  clockid_t clock;
  struct timespec time;
  EXPECT_EQ(clock_getcpuclockid(child, &clock), 0);
  EXPECT_EQ(clock_gettime(clock, &time), 0);
}

int main(void) {
  pthread_t thread;
  pthread_create(&thread, 0, idle, 0);
  while (thread_id == 0) guest_nap(1);
  pid_t child = fork();
  if (child == 0)
    for (;;) pause();
  check(child, 71);
  guest_ready();
  while (!guest_released()) {
    check(child, 72);
    guest_nap(1);
  }
  check(child, 73);
  over = 1;
  pthread_join(thread, 0);
  kill(child, SIGKILL);
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_EQ(kill(child, 0), -1);
  return guest_ok();
}
