// As a shell has it: two jobs of three processes, each a process group; a session beside them.
// Signals to a group reach its members and nobody else.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

static volatile int* got;  // by member: 0 to 5 in two groups, 6 and 7 in a session of their own
static volatile int* up;
static int me;
static void note(int number) {
  (void)number;
  got[me]++;
}

static void member(int index) {
  me = index;
  signal(SIGUSR1, note);
  __atomic_fetch_add(up, 1, __ATOMIC_SEQ_CST);
  for (;;) guest_nap(5);
}

int main(void) {
  got = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  up = got + 100;
  pid_t members[6], group[2] = {0, 0};
  for (int i = 0; i < 6; i++) {
    members[i] = fork();
    if (i % 3 == 0) group[i / 3] = members[i];
    if (members[i] == 0) member(i);
    EXPECT_EQ(setpgid(members[i], group[i / 3]), 0);
  }
  pid_t leader = fork();
  if (leader == 0) {
    setsid();
    if (fork() == 0) member(7);
    member(6);
  }
  while (*up != 8) guest_nap(1);
  pid_t own = getpgrp(), session = getsid(0);
  guest_ready();
  guest_wait();
  for (int i = 0; i < 6; i++) EXPECT_EQ(getpgid(members[i]), group[i / 3]);
  for (int i = 0; i < 6; i++) EXPECT_EQ(getsid(members[i]), getsid(0));
  EXPECT(getsid(leader) == leader && getpgid(leader) == leader);
  EXPECT(own != 0 && session != 0);
  EXPECT_EQ(killpg(group[0], SIGUSR1), 0);
  EXPECT_EQ(killpg(leader, SIGUSR1), 0);
  for (int i = 0; i < 1000 && got[0] + got[1] + got[2] + got[6] + got[7] < 5; i++) guest_nap(5);
  for (int i = 0; i < 8; i++) EXPECT_EQ(got[i], i < 3 || i > 5);
  EXPECT_EQ(killpg(group[0], SIGKILL), 0);
  EXPECT_EQ(killpg(group[1], SIGTERM), 0);
  for (int i = 0; i < 6; i++) {
    int status;
    EXPECT(waitpid(-group[i / 3], &status, 0) > 0);
    EXPECT_EQ(WTERMSIG(status), i / 3 ? SIGTERM : SIGKILL);
  }
  EXPECT_EQ(killpg(leader, SIGKILL), 0);
  EXPECT_EQ(waitpid(leader, 0, 0), leader);
  return guest_ok();
}
