// Three children, one with a child of its own: parents, pids and statuses hold, memory is private.
#include <sys/wait.h>

#include "guest.h"

enum { kChildren = 3 };
static int number;  // of the child

static void serve(int reader, int writer, pid_t parent) {
  pid_t self = getpid();
  number += 10;
  char byte;
  EXPECT_EQ(read(reader, &byte, 1), 1);  // blocked during the checkpoint
  EXPECT_EQ(getpid(), self);
  EXPECT_EQ(guest_raw(SYS_getpid, 0, 0, 0, 0, 0, 0), self);
  EXPECT_EQ(getppid(), parent);
  number += 100;
  EXPECT_EQ(write(writer, &number, sizeof number), sizeof number);
}

int main(void) {
  int down[kChildren][2], up[kChildren][2];
  pid_t pids[kChildren], parent = getpid();
  for (int i = 0; i < kChildren; i++) {
    EXPECT(pipe(down[i]) == 0 && pipe(up[i]) == 0);
    number = i;
    pids[i] = fork();
    if (pids[i] != 0) continue;
    pid_t self = getpid();
    if (i == 1 && fork() == 0) {
      serve(down[i][0], up[i][1], self);
      _exit(40);
    }
    serve(down[i][0], up[i][1], parent);
    int status = 0;
    if (i == 1) EXPECT(wait(&status) > 0 && WEXITSTATUS(status) == 40);
    _exit(20 + i);
  }
  number = 1000;
  guest_ready();
  guest_wait();
  EXPECT_EQ(number, 1000);
  EXPECT_EQ(getpid(), parent);
  for (int i = 0; i < kChildren; i++) {
    EXPECT_EQ(write(down[i][1], "xx", i == 1 ? 2 : 1), i == 1 ? 2 : 1);
    for (int k = 0; k < (i == 1 ? 2 : 1); k++) {
      int answer = 0;
      EXPECT_EQ(read(up[i][0], &answer, sizeof answer), sizeof answer);
      EXPECT_EQ(answer, i + 110);
    }
    int status = 0;
    EXPECT_EQ(waitpid(pids[i], &status, 0), pids[i]);
    EXPECT_EQ(WEXITSTATUS(status), 20 + i);
  }
  EXPECT(wait(0) == -1 && errno == ECHILD);
  return guest_ok();
}
