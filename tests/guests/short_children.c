// Children made by fork, vfork and posix_spawn before and after a checkpoint, gone when it comes.
// roundtrip: delay=0.6
#include <spawn.h>
#include <sys/wait.h>

#include "guest.h"

static void some_children(void) {
  for (int i = 0; i < 5; i++) {
    int status;
    pid_t child = i % 2 ? vfork() : fork();
    if (child == 0) _exit(i + 1);
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), i + 1);
  }
  pid_t child;
  int status;
  char* arguments[] = {"true", 0};
  extern char** environ;
  EXPECT_EQ(posix_spawnp(&child, "true", 0, 0, arguments, environ), 0);
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  FILE* command = popen("echo from a child", "r");
  char line[64] = "";
  EXPECT(fgets(line, sizeof line, command) != 0);
  EXPECT(strcmp(line, "from a child\n") == 0);
  EXPECT_EQ(pclose(command), 0);
}

int main(void) {
  some_children();
  guest_ready();
  guest_wait();
  some_children();
  EXPECT(waitpid(-1, 0, 0) == -1 && errno == ECHILD);
  return guest_ok();
}
