// Credentials and capability sets are what they were: a restart neither gives nor takes any.
#include <grp.h>
#include <linux/capability.h>
#include <sys/prctl.h>

#include "guest.h"

int main(void) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct before[2], after[2];
  gid_t groups_before[64], groups_after[64];
  EXPECT_EQ(syscall(SYS_capget, &header, before), 0);
  uid_t uid[3], uid_after[3];
  gid_t gid[3], gid_after[3];
  getresuid(&uid[0], &uid[1], &uid[2]);
  getresgid(&gid[0], &gid[1], &gid[2]);
  int groups = getgroups(64, groups_before);
  int bounding[64];
  for (int i = 0; i < 64; i++) bounding[i] = prctl(PR_CAPBSET_READ, i);
  guest_ready();
  guest_wait();
  EXPECT_EQ(syscall(SYS_capget, &header, after), 0);
  for (int i = 0; i < 64; i++) EXPECT_EQ(prctl(PR_CAPBSET_READ, i), bounding[i]);
  for (int i = 0; i < 2; i++) {
    EXPECT_EQ(after[i].effective, before[i].effective);
    EXPECT_EQ(after[i].permitted, before[i].permitted);
    EXPECT_EQ(after[i].inheritable, before[i].inheritable);
  }
  getresuid(&uid_after[0], &uid_after[1], &uid_after[2]);
  getresgid(&gid_after[0], &gid_after[1], &gid_after[2]);
  EXPECT(memcmp(uid, uid_after, sizeof uid) == 0);
  EXPECT(memcmp(gid, gid_after, sizeof gid) == 0);
  EXPECT_EQ(getgroups(64, groups_after), groups);
  EXPECT(memcmp(groups_before, groups_after, sizeof(gid_t) * (size_t)groups) == 0);
  return guest_ok();
}
