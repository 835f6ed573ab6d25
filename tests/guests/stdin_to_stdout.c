// Copies stdin to stdout: at a restart both are those of the restart command.
// roundtrip: run=stdin
#include "guest.h"

int main(void) {
  char line[256];
  guest_ready();
  while (fgets(line, sizeof line, stdin)) {
    printf("got %s", line);
    fflush(stdout);
  }
  return guest_ok();
}
