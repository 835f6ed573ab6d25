// Owner, mode, access list and extended attributes of a file that was unlinked, and of a memfd.
#include <sys/mman.h>
#include <sys/xattr.h>

#include "guest.h"

enum { kUser = 1234, kGroup = 4321 };

// An access list, version 2: the owner rwx, a user r, the group r-x, mask r-x, others r-x.
struct List {
  uint32_t words[11];
};
static struct List list_with(uid_t user) {
  struct List list = {{2, 0x70001, ~0u, 0x40002, user, 0x50004, ~0u, 0x50010, ~0u, 0x50020, ~0u}};
  return list;
}

struct Kept {
  int fd, owned, noted, listed;
};

static struct Kept change(int fd) {
  struct Kept kept = {fd, 0, 0, 0};
  kept.noted =
      fsetxattr(fd, "user.first", "1", 1, 0) == 0 && fsetxattr(fd, "user.empty", "", 0, 0) == 0;
  kept.owned = fchown(fd, kUser, kGroup) == 0;
  EXPECT_EQ(fchmod(fd, 04755), 0);
  struct List list = list_with(geteuid());
  kept.listed = fsetxattr(fd, "system.posix_acl_access", &list, sizeof list, 0) == 0;
  return kept;
}

static void expect(struct Kept kept) {
  struct stat about;
  char value[64];
  EXPECT_EQ(fstat(kept.fd, &about), 0);
  EXPECT_EQ(about.st_mode & 07777, 04755);
  if (kept.owned) EXPECT(about.st_uid == kUser && about.st_gid == kGroup);
  if (kept.noted) {
    EXPECT_EQ(fgetxattr(kept.fd, "user.first", value, sizeof value), 1);
    EXPECT_EQ(value[0], '1');
    EXPECT_EQ(fgetxattr(kept.fd, "user.empty", value, sizeof value), 0);
  }
  if (!kept.listed) return;
  struct List list = list_with(geteuid());
  EXPECT_EQ(fgetxattr(kept.fd, "system.posix_acl_access", value, sizeof value), sizeof list);
  EXPECT_EQ(memcmp(value, &list, sizeof list), 0);
}

int main(void) {
  struct Kept file = change(guest_file("unlinked", "text"));
  struct Kept memory = change(memfd_create("memory", 0));
  int shut = guest_file("shut", "text");  // to be opened again by whom its mode forbids it
  EXPECT_EQ(fchmod(shut, 0), 0);
  unlink("unlinked");
  unlink("shut");
  if (!file.noted && !memory.noted && !file.owned) guest_skip("no extended attributes here");
  guest_ready();
  guest_wait();
  expect(file);
  expect(memory);
  struct stat about;
  EXPECT(fstat(shut, &about) == 0 && (about.st_mode & 07777) == 0);
  EXPECT_EQ(pwrite(shut, "T", 1, 0), 1);
  return guest_ok();
}
