// Two thousand children a second, at most forty at a time, all collected.
// roundtrip: delay=0.6 state=no crowded
#include <sys/wait.h>

#include "guest.h"

enum { kAtOnce = 40, kPerSecond = 2000 };

int main(void) {
  long started = 0, collected = 0;
  double begin = guest_now();
  guest_ready();
  while (!guest_released() || started < 200) {
    if (started - collected < kAtOnce && (double)started < (guest_now() - begin) * kPerSecond) {
      pid_t child = fork();
      EXPECT(child >= 0);
      if (child == 0) {
        if (started % 7 == 0) guest_nap(3);
        if (started % 5 == 0 && fork() == 0) _exit(0);  // an orphan soon, for the supervisor
        _exit((int)(started % 100));
      }
      started++;
    }
    int status;
    while (waitpid(-1, &status, WNOHANG) > 0) {
      EXPECT(WIFEXITED(status));
      collected++;
    }
  }
  for (; collected < started; collected++) EXPECT(wait(0) > 0);
  EXPECT(wait(0) == -1 && errno == ECHILD);
  return guest_ok();
}
