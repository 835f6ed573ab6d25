// Pipes and socket pairs between processes: what is in flight arrives once and in order.
#include <sys/socket.h>
#include <sys/wait.h>

#include "guest.h"

enum { kEnd = -1 };

// Numbers from `from` on, until the go; then the end mark.
static void produce(int fd) {
  int number = 0;
  do EXPECT_EQ(write(fd, &number, sizeof number), sizeof number);
  while (++number % 64 || !guest_released());
  int end[2] = {kEnd, number};
  EXPECT_EQ(write(fd, end, sizeof end), sizeof end);
  _exit(0);
}

static void relay(int in, int out) {
  char buffer[4000];
  ssize_t size;
  while ((size = read(in, buffer, sizeof buffer)) > 0)
    for (ssize_t at = 0; at < size;) {
      ssize_t part = write(out, buffer + at, (size_t)(size - at));
      EXPECT(part > 0);
      at += part;
    }
  _exit(size == 0 ? 0 : 1);
}

static void consume(FILE* in) {
  int number, expected = 0;
  while (fread(&number, sizeof number, 1, in) == 1 && number != kEnd) EXPECT_EQ(number, expected++);
  EXPECT_EQ(fread(&number, sizeof number, 1, in), 1);
  EXPECT_EQ(number, expected);
  EXPECT_EQ(fread(&number, sizeof number, 1, in), 0);
  EXPECT(feof(in));
}

int main(void) {
  int first[2], second[2], third[2];
  EXPECT(pipe(first) == 0 && socketpair(AF_UNIX, SOCK_STREAM, 0, second) == 0 && pipe(third) == 0);
  if (fork() == 0) produce(first[1]);
  close(first[1]);
  if (fork() == 0) {
    close(second[1]);
    close(third[0]);
    close(third[1]);
    relay(first[0], second[0]);
  }
  close(first[0]);
  close(second[0]);
  if (fork() == 0) {
    close(third[0]);
    relay(second[1], third[1]);
  }
  close(second[1]);
  close(third[1]);
  guest_ready();
  consume(fdopen(third[0], "r"));
  for (int i = 0; i < 3; i++) {
    int status;
    EXPECT(wait(&status) > 0);
    EXPECT_EQ(status, 0);
  }
  return guest_ok();
}
