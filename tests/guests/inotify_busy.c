// Events that come all the time and are read a little later: none is lost, none comes twice. Nobody
// can put unread events back, so the checkpoint waits for a moment without any.
// roundtrip: state=no delay=0.4
#include <sys/inotify.h>
#include <sys/wait.h>

#include "guest.h"

// In another life the files may have been made already.
static void make_files(void) {
  char name[40];
  for (int number = 0;; number++) {
    int last = guest_released();
    snprintf(name, sizeof name, "watched/%s%d", last ? "last" : "", number);
    unlink(name);
    int fd = open(name, O_CREAT | O_EXCL | O_WRONLY, 0600);
    EXPECT(fd >= 0);
    close(fd);
    if (last) _exit(0);
    guest_nap(2);
  }
}

int main(void) {
  static char events[1 << 16] __attribute__((aligned(8)));
  mkdir("watched", 0700);
  int fd = inotify_init1(IN_CLOEXEC), status;
  int watch = inotify_add_watch(fd, "watched", IN_CREATE);
  pid_t child = fork();
  if (child == 0) make_files();
  guest_ready();
  for (int expected = 0, over = 0; !over;) {
    ssize_t got = read(fd, events, sizeof events);
    EXPECT(got > 0);
    for (char* at = events; at < events + got;) {
      struct inotify_event* event = (struct inotify_event*)at;
      EXPECT_EQ(event->mask, IN_CREATE);
      EXPECT_EQ(event->wd, watch);
      over = strncmp(event->name, "last", 4) == 0;
      EXPECT_EQ(atoi(event->name + (over ? 4 : 0)), expected);
      expected++;
      at += sizeof *event + event->len;
    }
    guest_nap(2);
  }
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  return guest_ok();
}
