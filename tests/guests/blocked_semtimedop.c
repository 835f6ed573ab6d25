// semtimedop on a System V semaphore.
// roundtrip: delay=2
#include <sys/ipc.h>
#include <sys/sem.h>

#include "guest.h"

int main(void) {
  int id = semget(IPC_PRIVATE, 1, 0600);
  struct sembuf down = {0, -1, 0};
  struct timespec time = {GUEST_BLOCK_SECONDS, 0};
  double start = guest_now();
  guest_ready();
  EXPECT_EQ(semtimedop(id, &down, 1, &time), -1);
  EXPECT_EQ(errno, EAGAIN);
  EXPECT_EQ(semctl(id, 0, IPC_RMID), 0);
  guest_expect_elapsed(start);
  return guest_ok();
}
