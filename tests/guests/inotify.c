// inotify: watches keep their numbers and masks, and report what happens after the restart.
#include <sys/inotify.h>

#include "guest.h"

int main(void) {
  mkdir("watched", 0700);
  mkdir("other", 0700);
  int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  int dropped = inotify_add_watch(fd, "other", IN_ALL_EVENTS);
  int kept = inotify_add_watch(fd, "watched", IN_CREATE | IN_DELETE);
  EXPECT_EQ(inotify_rm_watch(fd, dropped), 0);
  int last = inotify_add_watch(fd, "other", IN_MODIFY);
  char events[4096];
  while (read(fd, events, sizeof events) > 0) continue;  // IN_IGNORED of the dropped one
  guest_ready();
  guest_wait();
  close(open("watched/new", O_CREAT | O_WRONLY, 0600));
  ssize_t got = read(fd, events, sizeof events);
  EXPECT(got > 0);
  struct inotify_event* event = (struct inotify_event*)events;
  EXPECT_EQ(event->wd, kept);
  EXPECT_EQ(event->mask, IN_CREATE);
  EXPECT(strcmp(event->name, "new") == 0);
  int file = open("other/file", O_CREAT | O_WRONLY, 0600);
  EXPECT_EQ(write(file, "x", 1), 1);
  EXPECT(read(fd, events, sizeof events) > 0);
  EXPECT_EQ(event->wd, last);
  EXPECT_EQ(event->mask, IN_MODIFY);
  return guest_ok();
}
