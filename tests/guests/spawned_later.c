// Shells that libc starts (popen, system, wordexp) long after a restart, also with an environment
// that the program has cleared: the next checkpoint finds them under control.
// roundtrip: state=no delay=0.4 ten
#include <pthread.h>
#include <sys/wait.h>
#include <wordexp.h>

#include "guest.h"

#define PAUSE "sleep 0.03; "

static void* call_system(void* unused) {
  (void)unused;
  while (!guest_released()) EXPECT_EQ(WEXITSTATUS(system(PAUSE "exit 5")), 5);
  return 0;
}

int main(void) {
  char go[512], line[32];
  snprintf(go, sizeof go, "%s", getenv("GUEST_GO"));
  pthread_t thread;
  EXPECT_EQ(pthread_create(&thread, 0, call_system, 0), 0);
  guest_ready();
  for (int round = 0; !guest_released(); round++) {
    FILE* reader = popen(PAUSE "echo word; exit 7", "r");
    EXPECT(fgets(line, sizeof line, reader) && strcmp(line, "word\n") == 0);
    EXPECT_EQ(WEXITSTATUS(pclose(reader)), 7);
    wordexp_t words;
    EXPECT_EQ(wordexp("$(" PAUSE "echo one two)", &words, 0), 0);
    EXPECT(words.we_wordc == 2 && strcmp(words.we_wordv[1], "two") == 0);
    wordfree(&words);
  }
  EXPECT_EQ(pthread_join(thread, 0), 0);
  EXPECT_EQ(clearenv(), 0);
  EXPECT_EQ(setenv("GUEST_GO", go, 1), 0);
  EXPECT_EQ(system("[ -n \"$CKRUN_AREA\" ] && [ -n \"$LD_PRELOAD\" ]"), 0);
  return guest_ok();
}
