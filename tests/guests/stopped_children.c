// Children stopped by signals. A stop that was reported is not reported again, one that was not is;
// so with a continuation; and a stopped child runs no instruction until SIGCONT.
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "guest.h"

static volatile uint64_t* counters;
static volatile int notices;
static void on_child(int number) {
  notices += number == SIGCHLD;
}

static pid_t start(int index) {
  pid_t child = fork();
  if (child != 0) return child;
  setpgid(0, 0);  // SIGTSTP does not stop an orphaned process group
  for (;;) counters[index]++;
}

static void wait_until(pid_t child, char wanted) {
  char path[40], text[200], state = 0;
  snprintf(path, sizeof path, "/proc/%d/stat", child);
  while (state != wanted) {
    int fd = open(path, O_RDONLY);
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    text[size < 0 ? 0 : size] = 0;
    state = strrchr(text, ')')[2];
  }
}

// A continued child tells of it only when it gets a CPU again.
static void wait_for_notice(int number) {
  while (notices < number) guest_nap(1);
}

static void end(pid_t child) {
  int status;
  EXPECT_EQ(kill(child, SIGKILL), 0);
  EXPECT_EQ(waitpid(child, &status, 0), child);
  EXPECT(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

int main(void) {
  struct sigaction action = {.sa_handler = on_child, .sa_flags = SA_RESTART};
  counters = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  sigaction(SIGCHLD, &action, 0);
  pid_t told = start(0), untold = start(1), continued = start(2);
  int status;
  while (!counters[0] || !counters[1] || !counters[2]) guest_nap(1);
  kill(told, SIGSTOP);
  EXPECT_EQ(waitpid(told, &status, WUNTRACED), told);
  EXPECT(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
  wait_for_notice(1);
  kill(untold, SIGTSTP);
  wait_for_notice(2);
  wait_until(untold, 'T');
  kill(continued, SIGSTOP);
  wait_for_notice(3);
  wait_until(continued, 'T');
  kill(continued, SIGCONT);
  wait_for_notice(4);
  int before = notices;
  uint64_t counts[2] = {counters[0], counters[1]};
  guest_ready();
  guest_wait();
  EXPECT_EQ(notices, before);
  EXPECT_EQ(counters[0], counts[0]);
  EXPECT_EQ(counters[1], counts[1]);
  EXPECT_EQ(waitpid(told, &status, WUNTRACED | WCONTINUED | WNOHANG), 0);
  EXPECT_EQ(waitpid(untold, &status, WUNTRACED | WCONTINUED | WNOHANG), untold);
  EXPECT(WIFSTOPPED(status) && WSTOPSIG(status) == SIGTSTP);
  EXPECT_EQ(waitpid(continued, &status, WUNTRACED | WCONTINUED | WNOHANG), continued);
  EXPECT(WIFCONTINUED(status));
  EXPECT_EQ(kill(told, SIGCONT), 0);
  EXPECT_EQ(waitpid(told, &status, WCONTINUED), told);
  EXPECT(WIFCONTINUED(status));
  while (counters[0] == counts[0]) guest_nap(1);
  EXPECT_EQ(counters[1], counts[1]);
  end(told);
  end(untold);
  end(continued);
  return guest_ok();
}
