// A program that was started from a memfd, so that its code and data are private mappings of one:
// two processes with variables of their own. (Only the name of the program, /proc/self/exe, is not
// kept, so the states differ.)
// roundtrip: state=no
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>

#include "guest.h"

enum { kWords = 4096 };
static uint64_t variables[kWords] = {1};

extern char** environ;

static void start_from_memory(char** arguments) {
  int program = open("/proc/self/exe", O_RDONLY);
  int copy = memfd_create("program", MFD_CLOEXEC);
  struct stat about;
  EXPECT(program >= 0 && copy >= 0 && fstat(program, &about) == 0);
  EXPECT_EQ(sendfile(copy, program, 0, (size_t)about.st_size), about.st_size);
  EXPECT_EQ(setenv("GUEST_IS_COPY", "1", 1), 0);
  fexecve(copy, arguments, environ);
  guest_fail("fexecve");
}

int main(int count, char** arguments) {
  (void)count;
  if (!getenv("GUEST_IS_COPY")) start_from_memory(arguments);
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  pid_t child = fork();
  uint64_t own = child == 0 ? 77 : 88;
  guest_fill(variables, sizeof variables, own);
  char done = 0;
  if (child == 0) EXPECT_EQ(write(ends[1], &done, 1), 1);
  if (child != 0) {
    EXPECT_EQ(read(ends[0], &done, 1), 1);
    guest_ready();
  }
  guest_wait();
  EXPECT(guest_filled(variables, sizeof variables, own));
  if (child == 0) return 0;
  int status;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return guest_ok();
}
