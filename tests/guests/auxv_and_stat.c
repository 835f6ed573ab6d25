// /proc/self/auxv and the address fields of /proc/self/stat (code, data, stack, brk, arguments).
#include <sys/auxv.h>

#include "guest.h"

static void fields(unsigned long* out) {
  char text[2048] = "";
  FILE* stat = fopen("/proc/self/stat", "r");
  EXPECT(fgets(text, sizeof text, stat) != 0);
  fclose(stat);
  char* at = strrchr(text, ')') + 2;
  for (int i = 3; at; i++) {
    if (i >= 26 && i <= 28) out[i - 26] = strtoul(at, 0, 10);
    if (i >= 45 && i <= 51) out[i - 42] = strtoul(at, 0, 10);
    at = strchr(at, ' ');
    if (at) at++;
  }
}

int main(void) {
  unsigned long before[10] = {0}, after[10] = {0}, auxv[64] = {0}, auxv_after[64] = {0};
  int fd = open("/proc/self/auxv", O_RDONLY);
  ssize_t size = read(fd, auxv, sizeof auxv);
  close(fd);
  fields(before);
  guest_ready();
  guest_wait();
  fields(after);
  for (int i = 0; i < 10; i++)
    if (before[i] != after[i]) guest_fail("field %d: %lu, was %lu", i, after[i], before[i]);
  fd = open("/proc/self/auxv", O_RDONLY);
  EXPECT_EQ(read(fd, auxv_after, sizeof auxv_after), size);
  for (int i = 0; i < size / 8; i += 2) {
    if (auxv[i] != auxv_after[i] || auxv[i + 1] != auxv_after[i + 1])
      guest_fail("auxv %lu: %lx, was %lx", auxv[i], auxv_after[i + 1], auxv[i + 1]);
  }
  EXPECT(getauxval(AT_SYSINFO_EHDR) != 0);
  return guest_ok();
}
