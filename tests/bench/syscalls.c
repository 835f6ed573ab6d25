// Nanoseconds of calls that a checkpoint system might slow down: "name nanoseconds" a line, the
// best of several passes.
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int zero_fd, null_fd, ping[2], pong[2];
static char block[64];

static void do_getpid(void) {
  syscall(SYS_getpid);
}
static void do_read(void) {
  if (read(zero_fd, block, sizeof block) < 0) abort();
}
static void do_write(void) {
  if (write(null_fd, block, sizeof block) < 0) abort();
}
static void do_open_close(void) {
  close(open("/dev/null", O_RDONLY));
}
static void do_malloc_free(void) {
  void* volatile memory = malloc(100);
  free(memory);
}
static void do_clock(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
}
static void do_select(void) {
  struct timeval none = {0, 0};
  select(0, 0, 0, 0, &none);
}
static void do_fork_wait(void) {
  pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, 0, 0);
}
static void do_vfork_exec(void) {
  pid_t child = vfork();
  if (child == 0) {
    execl("/bin/true", "true", (char*)0);
    _exit(127);
  }
  waitpid(child, 0, 0);
}
static void* nothing(void* unused) {
  return unused;
}
static void do_thread(void) {
  pthread_t thread;
  pthread_create(&thread, 0, nothing, 0);
  pthread_join(thread, 0);
}
static void do_ping_pong(void) {
  char byte = 1;
  if (write(ping[1], &byte, 1) != 1 || read(pong[0], &byte, 1) != 1) abort();
}
static void* echo(void* unused) {
  char byte;
  while (read(ping[0], &byte, 1) == 1)
    if (write(pong[1], &byte, 1) != 1) abort();
  return unused;
}

static double once(void (*call)(void), int count) {
  struct timespec begin, end;
  clock_gettime(CLOCK_MONOTONIC, &begin);
  for (int i = 0; i < count; i++) call();
  clock_gettime(CLOCK_MONOTONIC, &end);
  return ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) /
         count;
}

static void measure(const char* name, void (*call)(void), int count) {
  double best = 1e18;
  once(call, count / 10 + 1);
  for (int pass = 0; pass < 7; pass++) {
    double time = once(call, count);
    if (time < best) best = time;
  }
  printf("%s %.2f\n", name, best);
}

int main(void) {
  zero_fd = open("/dev/zero", O_RDONLY);
  null_fd = open("/dev/null", O_WRONLY);
  if (pipe(ping) != 0 || pipe(pong) != 0) return 1;
  measure("getpid", do_getpid, 200000);
  measure("read", do_read, 200000);
  measure("write", do_write, 200000);
  measure("open+close", do_open_close, 50000);
  measure("malloc+free", do_malloc_free, 1000000);
  measure("clock_gettime", do_clock, 1000000);
  measure("select", do_select, 100000);
  measure("fork+wait", do_fork_wait, 300);
  measure("vfork+exec", do_vfork_exec, 100);
  measure("pthread_create+join", do_thread, 2000);
  pthread_t thread;
  pthread_create(&thread, 0, echo, 0);
  measure("pipe ping-pong", do_ping_pong, 10000);
  return 0;
}
