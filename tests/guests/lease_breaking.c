// A write lease that a reader is just breaking: its holder still has to answer. With the lease
// goes the O_ASYNC that it had set.
// roundtrip: state=no
#include <signal.h>

#include "guest.h"

static volatile sig_atomic_t told;
static void note(int number) {
  (void)number;
  ++told;
}

int main(void) {
  close(guest_file("leased", "x"));
  signal(SIGIO, note);
  int leased = open("leased", O_RDWR);
  EXPECT_EQ(fcntl(leased, F_SETLEASE, F_WRLCK), 0);
  EXPECT(open("leased", O_RDONLY | O_NONBLOCK) == -1 && errno == EWOULDBLOCK);
  EXPECT_EQ(told, 1);
  guest_ready();
  guest_wait();
  // As it was, or gone: what it may not be is a lease that nobody breaks.
  int now = fcntl(leased, F_GETLEASE);
  EXPECT(now == F_RDLCK || now == F_UNLCK);
  if (now != F_UNLCK) EXPECT_EQ(fcntl(leased, F_SETLEASE, F_UNLCK), 0);
  return guest_ok();
}
