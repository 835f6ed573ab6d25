// Rings whose requests a thread of the kernel takes (IORING_SETUP_SQPOLL), which is no thread of
// the program's and must not be stopped as one. One of them is awake at checkpoints, one sleeps.
// roundtrip: delay=0.6
#include "guest_ring.h"

int main(void) {
  struct guest_ring awake = ring_open_polled(16, IORING_SETUP_SQPOLL, 0);
  struct guest_ring asleep = ring_open_polled(4, IORING_SETUP_SQPOLL, 1);
  ring_work(&asleep, 3001);
  unsigned done = 0;
  guest_ready();
  while (!guest_released()) {
    ring_work(&awake, 10);
    done += 10;
    guest_nap(10);
  }
  ring_check(&awake, done, done);
  ring_check(&asleep, 3001, 3001);
  ring_work(&awake, 1000);
  ring_work(&asleep, 1000);
  return guest_ok();
}
