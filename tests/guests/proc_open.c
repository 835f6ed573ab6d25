// Files and folders below /proc that are open go on telling about the same process, itself and a
// child. (Their paths have other numbers with virtual ids.)
// roundtrip: state=no modes=resume,restart,twice,real,virtual,ways
#include <dirent.h>
#include <signal.h>
#include <sys/wait.h>

#include "guest.h"

static int open_below(pid_t pid, const char* name, int flags) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
  int fd = open(path, flags);
  EXPECT(fd >= 0);
  return fd;
}

static void expect_name(int fd, const char* name) {
  char text[64] = "";
  EXPECT_EQ(lseek(fd, 0, SEEK_SET), 0);
  EXPECT(read(fd, text, sizeof text - 1) > 0);
  EXPECT_EQ(strncmp(text, name, strlen(name)), 0);
}

static int count_entries(int fd) {
  int copy = dup(fd), count = 0;
  DIR* folder = fdopendir(copy);
  EXPECT(folder != 0);
  rewinddir(folder);
  for (struct dirent* entry; (entry = readdir(folder)) != 0;) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

int main(void) {
  pid_t child = fork();
  if (child == 0) {
    int comm = open("/proc/self/comm", O_WRONLY);
    EXPECT_EQ(write(comm, "its_child", 9), 9);
    close(comm);
    for (;;) pause();
  }
  int own = open_below(getpid(), "comm", O_RDONLY), its = open_below(child, "comm", O_RDONLY);
  int own_tasks = open_below(getpid(), "task", O_RDONLY | O_DIRECTORY);
  char own_thread[32];
  snprintf(own_thread, sizeof own_thread, "task/%d/comm", getpid());
  int thread = open_below(getpid(), own_thread, O_RDONLY);
  int its_folder = open_below(child, "", O_RDONLY | O_DIRECTORY);
  guest_nap(20);
  guest_ready();
  guest_wait();
  expect_name(own, "proc_open");
  expect_name(its, "its_child");
  expect_name(thread, "proc_open");
  EXPECT_EQ(count_entries(own_tasks), 1);
  int again = openat(its_folder, "comm", O_RDONLY);
  EXPECT(again >= 0);
  expect_name(again, "its_child");
  EXPECT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(waitpid(child, 0, 0), child);
  return guest_ok();
}
