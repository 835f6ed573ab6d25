// Parents that stand in vfork(2) longer than others can be kept waiting; two have two threads.
// roundtrip: delay=0.9 state=no
#include <pthread.h>
#include <sys/wait.h>

#include "guest.h"

static void* vfork_all_the_time(void* unused) {
  do {
    pid_t child = vfork();
    if (child == 0) {
      guest_nap(400);
      _exit(3);
    }
    int status;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(WEXITSTATUS(status), 3);
  } while (!guest_released());
  return unused;
}

int main(void) {
  enum { kChildren = 2 };
  for (int i = 0; i < kChildren; i++) {
    if (fork() != 0) continue;
    pthread_t thread;
    EXPECT_EQ(pthread_create(&thread, 0, vfork_all_the_time, 0), 0);
    guest_wait();
    EXPECT_EQ(pthread_join(thread, 0), 0);
    _exit(4);
  }
  guest_ready();
  vfork_all_the_time(0);
  for (int i = 0; i < kChildren; i++) {
    int status;
    EXPECT(wait(&status) > 0);
    EXPECT_EQ(WEXITSTATUS(status), 4);
  }
  return guest_ok();
}
