// System V semaphores: ids, keys, values and who used them last; a child waits for one meanwhile.
// roundtrip: modes=resume,restart,twice,real,virtual,ways
#include <sys/ipc.h>
#include <sys/sem.h>
#include <sys/wait.h>

#include "guest.h"

static void change(int id, int number, int by) {
  struct sembuf operation = {(unsigned short)number, (short)by, 0};
  EXPECT_EQ(semop(id, &operation, 1), 0);
}

int main(void) {
  key_t key = 0x52520000 + getpid();
  int id = semget(key, 3, IPC_CREAT | IPC_EXCL | 0640);
  int unused = semget(IPC_PRIVATE, 2, IPC_CREAT | 0600);
  EXPECT(id >= 0 && unused >= 0);
  change(id, 2, 5);
  pid_t parent = getpid(), child = fork();
  if (child == 0) {
    change(id, 2, 2);
    for (;;) {
      change(id, 0, -1);
      if (semctl(id, 2, GETVAL) == 0) _exit(9);
      change(id, 1, 1);
    }
  }
  while (semctl(id, 2, GETVAL) != 7) guest_nap(1);
  guest_ready();
  for (int steps = 0; !guest_released(); steps++, guest_nap(1)) {
    EXPECT_EQ(semctl(id, 1, GETVAL), steps);  // the child's answers
    change(id, 0, 1);
    while (semctl(id, 1, GETVAL) != steps + 1) guest_nap(1);
  }
  EXPECT_EQ(semget(key, 0, 0), id);
  EXPECT_EQ(semctl(id, 2, GETVAL), 7);
  EXPECT_EQ(semctl(id, 2, GETPID), child);
  EXPECT_EQ(semctl(unused, 0, GETVAL), 0);
  change(unused, 1, 1);
  EXPECT_EQ(semctl(unused, 1, GETPID), parent);
  EXPECT_EQ(semctl(id, 2, SETVAL, 0), 0);
  change(id, 0, 1);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  EXPECT(semctl(id, 0, IPC_RMID) == 0 && semctl(unused, 0, IPC_RMID) == 0);
  return guest_ok();
}
