// Children and threads of every kind, also after a restart: no id of the living is given out again,
// and each knows the same id as its parent.
// roundtrip: delay=2 state=no crowded
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "guest.h"

extern char** environ;
enum { kKept = 6 };
static pid_t kept[kKept];

static void expect_new(pid_t id) {
  EXPECT(id > 0);
  EXPECT(id != getpid());
  for (int i = 0; i < kKept; i++) EXPECT(id != kept[i]);
}

static void expect_end(pid_t child, int code) {
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), code);
}

static int in_clone(void* shared) {
  *(volatile pid_t*)shared = (pid_t)guest_raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
  return 4;
}

static void* in_thread(void* unused) {
  (void)unused;
  expect_new(gettid());
  return (void*)(long)gettid();
}

static void check_fork(void) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  pid_t parent = getpid(), child = fork(), told = 0;
  if (child == 0) {
    told = getpid();
    _exit(write(ends[1], &told, sizeof told) == sizeof told && getppid() == parent ? 1 : 2);
  }
  expect_new(child);
  EXPECT_EQ(read(ends[0], &told, sizeof told), (long)sizeof told);
  EXPECT_EQ(told, child);
  expect_end(child, 1);
  close(ends[0]);
  close(ends[1]);
}

static void check_shared(void) {
  static volatile pid_t told;
  static char stack[65536] __attribute__((aligned(16)));
  pid_t child = vfork();
  if (child == 0) {
    told = getpid();
    _exit(3);
  }
  EXPECT_EQ(told, child);
  expect_new(child);
  expect_end(child, 3);
  child = clone(in_clone, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, (void*)&told);
  EXPECT_EQ(told, child);
  expect_end(child, 4);
}

static void check_programs(void) {
  char* const command[] = {"sh", "-c", "exit 7", 0};
  pid_t child;
  EXPECT_EQ(posix_spawn(&child, "/bin/sh", 0, 0, command, environ), 0);
  expect_new(child);
  expect_end(child, 7);
  char text[64] = "";
  FILE* output = popen("echo $PPID", "r");
  EXPECT(output && fgets(text, sizeof text, output));
  EXPECT_EQ(atoi(text), getpid());
  EXPECT_EQ(pclose(output), 0);
  EXPECT_EQ(WEXITSTATUS(system("exit 5")), 5);
}

int main(void) {
  for (int i = 0; i < kKept; i++) {
    kept[i] = fork();
    if (kept[i] == 0)
      for (;;) pause();
  }
  guest_ready();
  for (int round = 0; round == 0 || !guest_released(); round++) {
    check_fork();
    check_shared();
    pthread_t thread;
    EXPECT_EQ(pthread_create(&thread, 0, in_thread, 0), 0);
    EXPECT_EQ(pthread_join(thread, 0), 0);
    if (round % 8 == 0) check_programs();
  }
  check_programs();
  for (int i = 0; i < kKept; i++) {
    int status;
    EXPECT_EQ(kill(kept[i], SIGTERM), 0);
    EXPECT_EQ(waitpid(kept[i], &status, 0), kept[i]);
    EXPECT_EQ(WTERMSIG(status), SIGTERM);
  }
  return guest_ok();
}
