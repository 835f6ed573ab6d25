// Adjustments at a process's end (SEM_UNDO): those of two children and of the parent, that add and
// that take away, hold after a restart.
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/wait.h>

#include "guest.h"

static void change(int id, int number, int by, int flags) {
  struct sembuf operation = {(unsigned short)number, (short)by, (short)flags};
  EXPECT_EQ(semop(id, &operation, 1), 0);
}

int main(void) {
  int down[2], id = semget(IPC_PRIVATE, 3, IPC_CREAT | 0600);
  EXPECT(id >= 0 && pipe(down) == 0 && semctl(id, 0, SETVAL, 10) == 0);
  change(id, 0, -1, SEM_UNDO);
  pid_t children[2];
  for (int i = 0; i < 2; i++) {
    children[i] = fork();
    if (children[i] != 0) continue;
    char byte;
    change(id, 0, -2 - i, SEM_UNDO);
    change(id, 1, 4, i == 0 ? SEM_UNDO : 0);
    change(id, 2, 1, 0);
    EXPECT_EQ(read(down[0], &byte, 1), 1);
    _exit(9);
  }
  change(id, 2, -2, 0);  // both are ready
  change(id, 1, -6, 0);
  guest_ready();
  guest_wait();
  EXPECT_EQ(semctl(id, 0, GETVAL), 4);
  EXPECT_EQ(semctl(id, 1, GETVAL), 2);
  EXPECT_EQ(semctl(id, 1, GETPID), getpid());
  EXPECT_EQ(write(down[1], "xx", 2), 2);
  int status = 0;
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(waitpid(children[i], &status, 0), children[i]);
    EXPECT_EQ(WEXITSTATUS(status), 9);
  }
  EXPECT_EQ(semctl(id, 0, GETVAL), 9);
  EXPECT_EQ(semctl(id, 1, GETVAL), 0);
  EXPECT_EQ(semctl(id, 2, GETVAL), 0);
  EXPECT_EQ(semctl(id, 0, IPC_RMID), 0);
  return guest_ok();
}
