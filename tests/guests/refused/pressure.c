// A trigger that tells when memory gets scarce (PSI).
#include "../guest.h"

int main(void) {
  const char trigger[] = "some 500000 2000000";
  int fd = open("/proc/pressure/memory", O_RDWR | O_NONBLOCK);
  if (fd < 0) guest_skip("no /proc/pressure");
  if (write(fd, trigger, sizeof trigger) < 0) guest_skip("no triggers of pressure");
  guest_ready();
  guest_wait();
  return guest_ok();
}
