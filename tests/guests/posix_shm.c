// POSIX shared memory and a named semaphore, between parent and child: the content goes back to
// that of the checkpoint, together with private memory, while the job runs past it.
#include <semaphore.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

struct shared {
  volatile uint64_t count;
  volatile uint64_t of_child;
  char rest[8192];
};

int main(void) {
  char name[64], sem_name[64];
  snprintf(name, sizeof name, "/ckrun-guest-shm-%d", getpid());
  snprintf(sem_name, sizeof sem_name, "/ckrun-guest-sem-%d", getpid());
  int fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0640);
  EXPECT(fd >= 0 && ftruncate(fd, sizeof(struct shared)) == 0);
  struct shared* shared = mmap(0, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  EXPECT(shared != MAP_FAILED && close(fd) == 0);
  guest_fill(shared->rest, 4096, 5);
  sem_t* turn = sem_open(sem_name, O_CREAT | O_EXCL, 0600, 0);
  EXPECT(turn != SEM_FAILED);
  pid_t child = fork();
  if (child == 0) {
    // Takes a step whenever the semaphore lets it.
    for (uint64_t own = 0;;) {
      EXPECT_EQ(sem_wait(turn), 0);
      if (shared->count == 0) _exit(9);
      EXPECT_EQ(shared->of_child, own);
      shared->of_child = ++own;
    }
  }
  guest_ready();
  uint64_t steps = 0;
  while (!guest_released()) {
    EXPECT_EQ(shared->count, steps);
    shared->count = ++steps;
    EXPECT_EQ(sem_post(turn), 0);
    while (shared->of_child != steps) guest_nap(1);
  }
  EXPECT(guest_filled(shared->rest, 4096, 5));
  for (size_t i = 4096; i < sizeof shared->rest; i++) EXPECT(shared->rest[i] == 0);
  struct stat about;
  int again = shm_open(name, O_RDWR, 0);
  EXPECT(again >= 0 && fstat(again, &about) == 0);
  EXPECT_EQ(about.st_mode & 07777, 0640);
  EXPECT_EQ(about.st_size, sizeof(struct shared));
  shared->count = 0;
  EXPECT_EQ(sem_post(turn), 0);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  EXPECT(shm_unlink(name) == 0 && sem_unlink(sem_name) == 0);
  return guest_ok();
}
