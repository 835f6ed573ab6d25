// What a process or a thread has asked of the kernel for itself: expedited memory barriers, what
// goes into a core dump, what becomes of it at a memory failure, memory that never becomes code,
// merging of equal pages.
#include <linux/membarrier.h>
#include <sys/prctl.h>

#include "guest.h"

#ifndef PR_SET_MDWE
#define PR_SET_MDWE 65
#define PR_GET_MDWE 66
#endif
#ifndef PR_SET_MEMORY_MERGE
#define PR_SET_MEMORY_MERGE 67
#define PR_GET_MEMORY_MERGE 68
#endif

static long membarrier(int command) {
  return syscall(SYS_membarrier, command, 0, 0);
}

static unsigned long coredump_filter(void) {
  char text[32] = "";
  const int fd = open("/proc/self/coredump_filter", O_RDONLY);
  EXPECT(fd >= 0 && read(fd, text, sizeof text - 1) > 0);
  close(fd);
  return strtoul(text, NULL, 16);
}

int main(void) {
  const int barriers = membarrier(MEMBARRIER_CMD_QUERY);
  EXPECT_EQ(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED), 0);
  EXPECT_EQ(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED_SYNC_CORE), 0);
  EXPECT_EQ(membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED), 0);
  if (!(barriers & 1 << 9)) guest_skip("this kernel does not tell of membarrier registrations");
  EXPECT_EQ(prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY, 0, 0), 0);
  EXPECT_EQ(prctl(PR_SET_MDWE, 1, 0, 0, 0), 0);
  const int merges = prctl(PR_SET_MEMORY_MERGE, 1, 0, 0, 0);
  const int fd = open("/proc/self/coredump_filter", O_WRONLY);
  EXPECT(fd >= 0 && write(fd, "0x7", 3) == 3);
  close(fd);
  guest_ready();
  guest_wait();
  EXPECT_EQ(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED), 0);
  EXPECT_EQ(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED_SYNC_CORE), 0);
  EXPECT_EQ(membarrier(1 << 9) & MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED,
            MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED);
  EXPECT_EQ(prctl(PR_MCE_KILL_GET, 0, 0, 0, 0), PR_MCE_KILL_EARLY);
  EXPECT_EQ(prctl(PR_GET_MDWE, 0, 0, 0, 0), 1);
  if (merges == 0) EXPECT_EQ(prctl(PR_GET_MEMORY_MERGE, 0, 0, 0, 0), 1);
  EXPECT_EQ(coredump_filter(), 7);
  return guest_ok();
}
