// A directory stream in the middle: each entry is seen once.
#include <dirent.h>

#include "guest.h"

int main(void) {
  char name[64], seen[2000] = {0};
  EXPECT_EQ(mkdir("many", 0700), 0);
  for (int i = 0; i < 2000; i++) {
    snprintf(name, sizeof name, "many/file-with-a-long-name-%d", i);
    close(open(name, O_CREAT | O_WRONLY, 0600));
  }
  DIR* stream = opendir("many");
  struct dirent* entry;
  int count = 0, number;
  while (count < 500 && (entry = readdir(stream)))
    if (sscanf(entry->d_name, "file-with-a-long-name-%d", &number) == 1) {
      seen[number]++;
      count++;
    }
  guest_ready();
  guest_wait();
  while ((entry = readdir(stream)))
    if (sscanf(entry->d_name, "file-with-a-long-name-%d", &number) == 1) seen[number]++;
  for (int i = 0; i < 2000; i++) EXPECT_EQ(seen[i], 1);
  return guest_ok();
}
