// An inotify instance that two processes share: the child adds a watch, the parent reads its
// events.
#include <sys/inotify.h>
#include <sys/wait.h>

#include "guest.h"

int main(void) {
  int up[2], down[2];
  EXPECT(pipe(up) == 0 && pipe(down) == 0);
  mkdir("one", 0700);
  mkdir("two", 0700);
  int fd = inotify_init1(IN_NONBLOCK);
  int first = inotify_add_watch(fd, "one", IN_CREATE);
  pid_t child = fork();
  if (child == 0) {
    int second = inotify_add_watch(fd, "two", IN_CREATE | IN_ONLYDIR);
    EXPECT_EQ(write(up[1], &second, sizeof second), sizeof second);
    char byte;
    EXPECT_EQ(read(down[0], &byte, 1), 1);
    close(open("two/new", O_CREAT | O_WRONLY, 0600));
    EXPECT_EQ(inotify_rm_watch(fd, first), 0);
    _exit(9);
  }
  int second = 0;
  EXPECT_EQ(read(up[0], &second, sizeof second), sizeof second);
  guest_ready();
  guest_wait();
  EXPECT_EQ(write(down[1], "g", 1), 1);
  int status = 0;
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 9);
  char events[4096];
  ssize_t got = read(fd, events, sizeof events);
  struct inotify_event* created = (struct inotify_event*)events;
  EXPECT(got > 0 && created->wd == second && created->mask == IN_CREATE);
  struct inotify_event* gone = (struct inotify_event*)(events + sizeof *created + created->len);
  EXPECT(gone->wd == first && gone->mask == IN_IGNORED);
  int third = inotify_add_watch(fd, "one", IN_DELETE);
  EXPECT(third > second);
  return guest_ok();
}
