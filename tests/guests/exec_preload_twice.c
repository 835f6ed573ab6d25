// An environment with LD_PRELOAD in it several times: ld.so obeys the last entry.
#include <limits.h>
#include <sys/wait.h>

#include "guest.h"

enum { kLong = 60000 };

// As `exec` by a program whose variables are in disorder; the short one counts.
static void exec_child(char* agent, int ready) {
  static char first[kLong], second[PATH_MAX + 64], go[PATH_MAX + 16], number[16];
  strcpy(first, "LD_PRELOAD=/nowhere");
  memset(first + strlen(first), 'x', kLong - 1 - strlen(first));
  snprintf(second, sizeof second, "LD_PRELOAD=/nowhere:%s:/elsewhere", agent);
  snprintf(go, sizeof go, "GUEST_GO=%s", getenv("GUEST_GO"));
  snprintf(number, sizeof number, "%d", ready);
  char* environment[] = {first, second, go, "LD_PRELOAD=", 0};
  char* arguments[] = {"child", number, 0};
  execve("/proc/self/exe", arguments, environment);
  _exit(9);
}

static int child(int ready) {
  extern char** environ;
  int entries = 0;
  for (char** entry = environ; *entry; entry++) entries += strncmp(*entry, "LD_PRELOAD=", 11) == 0;
  EXPECT_EQ(entries, 1);
  EXPECT(strchr(getenv("LD_PRELOAD"), ':') == 0);
  EXPECT_EQ(write(ready, "r", 1), 1);
  guest_wait();
  return 0;
}

int main(int count, char** arguments) {
  if (count == 2) return child(atoi(arguments[1]));
  int ends[2], status;
  char byte;
  EXPECT_EQ(pipe(ends), 0);
  pid_t pid = fork();
  if (pid == 0) exec_child(getenv("LD_PRELOAD"), ends[1]);
  close(ends[1]);
  EXPECT_EQ(read(ends[0], &byte, 1), 1);
  close(ends[0]);
  guest_ready();
  guest_wait();
  EXPECT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  return guest_ok();
}
