// A one-shot alarm keeps what remained of its time: it does not start anew.
// roundtrip: delay=2
#include <signal.h>
#include <sys/time.h>

#include "guest.h"

static volatile double fired_at;
static void on_alarm(int signal) {
  (void)signal;
  fired_at = guest_now();
}

int main(void) {
  signal(SIGALRM, on_alarm);
  double start = guest_now();
  alarm(GUEST_BLOCK_SECONDS);
  guest_ready();
  while (fired_at == 0 && guest_now() < start + 30) guest_nap(10);
  EXPECT(fired_at != 0);
  guest_expect_elapsed(start);
  EXPECT_EQ(alarm(0), 0);
  return guest_ok();
}
