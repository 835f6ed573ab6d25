// A hundred processes, each of which holds a token that goes around.
// roundtrip: delay=0.5
#include <sys/wait.h>

#include "guest.h"

enum { kProcesses = 100 };
static int ring[kProcesses + 1][2];

static void pass_on(int self) {
  int token;
  pid_t pid = getpid();
  for (;;) {
    EXPECT_EQ(read(ring[self][0], &token, sizeof token), sizeof token);
    EXPECT_EQ(getpid(), pid);
    if (token >= 0) token++;
    EXPECT_EQ(write(ring[self + 1][1], &token, sizeof token), sizeof token);
    if (token < 0) _exit(self % 100);
  }
}

int main(void) {
  static char seen[kProcesses];
  int token = 0, rounds = 0;
  for (int i = 0; i <= kProcesses; i++) EXPECT_EQ(pipe(ring[i]), 0);
  for (int i = 0; i < kProcesses; i++)
    if (fork() == 0) pass_on(i);
  guest_ready();
  do {
    EXPECT_EQ(write(ring[0][1], &token, sizeof token), sizeof token);
    EXPECT_EQ(read(ring[kProcesses][0], &token, sizeof token), sizeof token);
    EXPECT_EQ(token, ++rounds * kProcesses);
    guest_nap(1);
  } while (!guest_released());
  token = -1;
  EXPECT_EQ(write(ring[0][1], &token, sizeof token), sizeof token);
  for (int i = 0; i < kProcesses; i++) {
    int status;
    EXPECT(wait(&status) > 0);
    EXPECT(WIFEXITED(status) && !seen[WEXITSTATUS(status)]);
    seen[WEXITSTATUS(status)] = 1;
  }
  return guest_ok();
}
