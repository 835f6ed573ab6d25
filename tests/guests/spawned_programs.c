// Programs started by posix_spawn, popen and system that run during the checkpoint.
#include <pthread.h>
#include <spawn.h>
#include <sys/wait.h>

#include "guest.h"

#define UNTIL_RELEASED "until [ -e \"$GUEST_GO\" ]; do sleep 0.05; done; "

static void* call_system(void* status) {
  *(int*)status = system(UNTIL_RELEASED "exit 5");
  return 0;
}

int main(void) {
  extern char** environ;
  char* arguments[] = {"sh", "-c", UNTIL_RELEASED "exit 6", 0};
  pid_t spawned;
  EXPECT_EQ(posix_spawnp(&spawned, "sh", 0, 0, arguments, environ), 0);
  FILE* reader = popen("echo first; " UNTIL_RELEASED "echo second; exit 7", "r");
  FILE* writer = popen("read first; read second; [ \"$first $second\" = \"one two\" ]", "w");
  char line[32];
  EXPECT(fgets(line, sizeof line, reader) && strcmp(line, "first\n") == 0);
  fputs("one\n", writer);
  fflush(writer);
  int of_system = -1, status;
  pthread_t thread;
  EXPECT_EQ(pthread_create(&thread, 0, call_system, &of_system), 0);
  guest_nap(50);
  guest_ready();
  guest_wait();
  EXPECT(fgets(line, sizeof line, reader) && strcmp(line, "second\n") == 0);
  EXPECT_EQ(WEXITSTATUS(pclose(reader)), 7);
  fputs("two\n", writer);
  EXPECT_EQ(pclose(writer), 0);
  EXPECT_EQ(waitpid(spawned, &status, 0), spawned);
  EXPECT_EQ(WEXITSTATUS(status), 6);
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(WEXITSTATUS(of_system), 5);
  return guest_ok();
}
