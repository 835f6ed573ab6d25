// Children that are born, execute programs and end all the time, of several parents and threads.
// roundtrip: delay=0.6 state=no crowded
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

#include "guest.h"

static int one_child(int way) {
  extern char** environ;
  char* arguments[] = {"true", 0};
  pid_t child = 0;
  int status = -1;
  if (way % 3 == 0) {
    child = fork();
    if (child == 0) _exit(0);
  } else if (way % 3 == 1) {
    EXPECT_EQ(posix_spawn(&child, "/bin/true", 0, 0, arguments, environ), 0);
  } else {
    child = fork();
    if (child == 0) execl("/bin/sh", "sh", "-c", "/bin/true; exit 0", (char*)0);
  }
  EXPECT(child > 0);
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return 1;
}

static void* churn(void* way) {
  int number = (int)(intptr_t)way;
  while (!guest_released()) one_child(number++);
  return 0;
}

int main(void) {
  pthread_t threads[2];
  pid_t parents[2];
  for (int i = 0; i < 2; i++) {
    parents[i] = fork();
    if (parents[i] == 0) {
      churn((void*)(intptr_t)i);
      _exit(0);
    }
  }
  guest_ready();
  for (int i = 0; i < 2; i++) pthread_create(&threads[i], 0, churn, (void*)(intptr_t)i);
  for (int i = 0; i < 2; i++) pthread_join(threads[i], 0);
  for (int i = 0; i < 2; i++) {
    int status;
    EXPECT_EQ(waitpid(parents[i], &status, 0), parents[i]);
    EXPECT_EQ(status, 0);
  }
  EXPECT(wait(0) == -1 && errno == ECHILD);
  return guest_ok();
}
