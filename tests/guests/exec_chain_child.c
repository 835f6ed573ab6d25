// A child that executes another program, and that another, with a cleared environment each time.
#include <sys/wait.h>

#include "guest.h"

static char go[300];
static char* const environment[] = {go, 0};

static int next(const char* name, const char* stage) {
  execle(name, name, stage, (char*)0, environment);
  guest_fail("execle");
}

int main(int argc, char** argv) {
  snprintf(go, sizeof go, "GUEST_GO=%s", getenv("GUEST_GO"));
  if (argc > 1 && strcmp(argv[1], "1") == 0) return next("/proc/self/exe", "2");
  if (argc > 1) {
    guest_wait();
    EXPECT(getenv("PATH") == 0);
    return 9;
  }
  pid_t child = fork();
  if (child == 0) next("/proc/self/exe", "1");
  pid_t later = fork();
  if (later == 0) {
    guest_wait();
    next("/proc/self/exe", "1");
  }
  guest_nap(50);
  guest_ready();
  guest_wait();
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  EXPECT_EQ(waitpid(later, &status, 0), later);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  return guest_ok();
}
