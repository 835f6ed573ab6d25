// Buffered stdio: text that was not yet written at the checkpoint is written once.
#include "guest.h"

int main(void) {
  FILE* file = fopen("buffered", "w+");
  setvbuf(file, 0, _IOFBF, 65536);
  for (int i = 0; i < 100; i++) fprintf(file, "%d,", i);
  FILE* input = fopen("/proc/self/maps", "r");
  char first[512], second[512];
  EXPECT(fgets(first, sizeof first, input) != 0);
  fclose(input);
  guest_ready();
  guest_wait();
  struct stat about;
  EXPECT_EQ(fstat(fileno(file), &about), 0);
  EXPECT_EQ(about.st_size, 0);
  EXPECT_EQ(fflush(file), 0);
  EXPECT_EQ(fstat(fileno(file), &about), 0);
  EXPECT_EQ(about.st_size, 290);
  rewind(file);
  for (int i = 0, seen; i < 100; i++) EXPECT(fscanf(file, "%d,", &seen) == 1 && seen == i);
  input = fopen("/proc/self/maps", "r");
  EXPECT(fgets(second, sizeof second, input) != 0);
  EXPECT(strncmp(first, second, 12) == 0);
  return guest_ok();
}
