// System V shared memory: ids, keys and contents of segments, attached by two processes, attached
// nowhere, attached for reading only, and one that lives by its attachment alone.
// roundtrip: modes=resume,restart,twice,real,virtual,ways
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/wait.h>

#include "guest.h"

enum { kBytes = 3 * 4096 + 100 };

static void check_segment(int id, key_t key, int mode, int attached) {
  struct shmid_ds about;
  EXPECT_EQ(shmctl(id, IPC_STAT, &about), 0);
  EXPECT_EQ(about.shm_perm.__key, key);
  EXPECT_EQ(about.shm_perm.mode & 0777, mode);
  EXPECT_EQ(about.shm_segsz, kBytes);
  EXPECT_EQ(about.shm_nattch, attached);
}

int main(void) {
  key_t key = 0x51510000 + getpid();
  int shared_id = shmget(key, kBytes, IPC_CREAT | IPC_EXCL | 0640);
  int removed_id = shmget(IPC_PRIVATE, kBytes, IPC_CREAT | 0600);
  int idle_id = shmget(IPC_PRIVATE, kBytes, IPC_CREAT | 0600);
  EXPECT(shared_id >= 0 && removed_id >= 0 && idle_id >= 0);
  volatile uint64_t* shared = shmat(shared_id, 0, 0);
  char* removed = shmat(removed_id, 0, 0);
  char* idle = shmat(idle_id, 0, 0);
  char* reader = shmat(removed_id, 0, SHM_RDONLY);
  EXPECT(shared != (void*)-1 && removed != (void*)-1 && reader != (void*)-1);
  EXPECT_EQ(shmctl(removed_id, IPC_RMID, 0), 0);
  guest_fill(removed + 4096, 4096, 7);
  EXPECT_EQ(mprotect(removed, 4096, PROT_READ), 0);
  guest_fill(idle + 8192, 4096, 8);
  EXPECT_EQ(shmdt(idle), 0);
  pid_t child = fork();
  if (child == 0) {
    for (uint64_t own = 0; shared[0] != (uint64_t)-1; guest_nap(1)) {
      EXPECT_EQ(shared[1], own);
      shared[1] = ++own;
      removed[2 * 4096] = (char)own;
    }
    EXPECT(guest_filled(removed + 4096, 4096, 7));
    _exit(shmdt((void*)shared) == 0 && shmdt(removed) == 0 ? 9 : 1);
  }
  guest_ready();
  uint64_t steps = 0;
  while (!guest_released()) {
    EXPECT_EQ(shared[0], steps);
    shared[0] = ++steps;
    guest_nap(1);
  }
  EXPECT(guest_filled(reader + 4096, 4096, 7));
  EXPECT_EQ(reader[0], 0);
  EXPECT_EQ(shmget(key, 0, 0), shared_id);
  check_segment(shared_id, key, 0640, 2);
  check_segment(removed_id, 0, 0600, 6);  // the kernel counts mappings
  check_segment(idle_id, 0, 0600, 0);
  shared[0] = (uint64_t)-1;
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  idle = shmat(idle_id, 0, 0);
  EXPECT(idle != (void*)-1 && guest_filled(idle + 8192, 4096, 8) && idle[0] == 0);
  EXPECT(shmctl(idle_id, IPC_RMID, 0) == 0 && shmctl(shared_id, IPC_RMID, 0) == 0);
  EXPECT(shmdt(reader) == 0 && shmdt(removed) == 0 && shmdt((void*)shared) == 0);
  EXPECT(shmctl(removed_id, IPC_STAT, &(struct shmid_ds){0}) == -1 && errno == EINVAL);
  return guest_ok();
}
