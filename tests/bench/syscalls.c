// Nanoseconds of calls that a checkpoint system might slow down.
//   syscalls          lists the names of the calls
//   syscalls CPU      runs on that CPU; for each line of input, a name, writes that call's time
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int zero_fd, null_fd, epoll_fd, ping[2], pong[2], full[2];
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
static void do_futex_wake(void) {
  static int word;
  syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1);
}
static void poll_ready(int timeout) {
  struct pollfd ready = {full[0], POLLIN, 0};
  if (poll(&ready, 1, timeout) != 1) abort();
}
static void do_poll(void) {
  poll_ready(-1);
}
static void do_poll_timed(void) {
  poll_ready(1000);
}
static void do_epoll_wait(void) {
  struct epoll_event event;
  if (epoll_wait(epoll_fd, &event, 1, 1000) != 1) abort();
}
static void do_nanosleep(void) {
  struct timespec time = {0, 1};
  nanosleep(&time, 0);
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

static const struct {
  const char* name;
  void (*call)(void);
  int count;  // of a pass: some milliseconds
} calls[] = {
    {"getpid", do_getpid, 20000},
    {"read", do_read, 20000},
    {"write", do_write, 20000},
    {"open+close", do_open_close, 4000},
    {"malloc+free", do_malloc_free, 400000},
    {"clock_gettime", do_clock, 200000},
    {"futex wake", do_futex_wake, 20000},
    {"select", do_select, 10000},
    {"poll, no time-out", do_poll, 10000},
    {"poll, time-out", do_poll_timed, 10000},
    {"epoll_wait, time-out", do_epoll_wait, 10000},
    {"nanosleep", do_nanosleep, 100},
    {"fork+wait", do_fork_wait, 40},
    {"vfork+exec", do_vfork_exec, 10},
    {"pthread_create+join", do_thread, 200},
    {"pipe ping-pong", do_ping_pong, 1000},
};

static void answer(const char* name) {
  for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
    if (strcmp(name, calls[i].name) != 0) continue;
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    for (int round = 0; round < calls[i].count; round++) calls[i].call();
    clock_gettime(CLOCK_MONOTONIC, &end);
    printf("%.2f\n",
           ((double)(end.tv_sec - begin.tv_sec) * 1e9 + (double)(end.tv_nsec - begin.tv_nsec)) /
               calls[i].count);
    fflush(stdout);
    return;
  }
  exit(64);
}

static void use_one_cpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) exit(1);
}

int main(int count, char** arguments) {
  if (count != 2) {
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) printf("%s\n", calls[i].name);
    return 0;
  }
  use_one_cpu(atoi(arguments[1]));
  zero_fd = open("/dev/zero", O_RDONLY);
  null_fd = open("/dev/null", O_WRONLY);
  epoll_fd = epoll_create1(EPOLL_CLOEXEC);
  if (pipe(ping) != 0 || pipe(pong) != 0 || pipe(full) != 0 || write(full[1], "", 1) != 1) return 1;
  struct epoll_event event = {EPOLLIN, {0}};
  if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, full[0], &event) != 0) return 1;
  pthread_t thread;
  pthread_create(&thread, 0, echo, 0);
  char name[64];
  while (fgets(name, sizeof name, stdin)) {
    name[strcspn(name, "\n")] = 0;
    answer(name);
  }
  return 0;
}
