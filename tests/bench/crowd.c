// Processes and threads that sleep, to be frozen: crowd PROCESSES THREADS-OF-EACH. Says "ready"
// when all are there.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void* sleeper(void* nothing) {
  for (;;) pause();
  return nothing;
}

static void start_threads(int count) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, 64 * 1024);
  for (int i = 1; i < count; ++i) {
    pthread_t thread;
    if (pthread_create(&thread, &attributes, sleeper, NULL) != 0) exit(1);
  }
}

int main(int argc, char** argv) {
  const int processes = argc > 1 ? atoi(argv[1]) : 1;
  const int threads = argc > 2 ? atoi(argv[2]) : 1;
  int told[2];
  if (pipe(told) != 0) return 1;
  for (int i = 1; i < processes; ++i) {
    const pid_t child = fork();
    if (child < 0) return 1;
    if (child > 0) continue;
    start_threads(threads);
    if (write(told[1], "x", 1) != 1) return 1;
    close(told[0]);
    close(told[1]);
    sleeper(NULL);
  }
  start_threads(threads);
  char byte;
  for (int i = 1; i < processes; ++i)
    if (read(told[0], &byte, 1) != 1) return 1;
  close(told[0]);
  close(told[1]);
  puts("ready");
  fflush(stdout);
  sleeper(NULL);
}
