#include "driver/daemon/users.h"

#include <grp.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

namespace ck::daemon {
namespace {

constexpr std::size_t kEntryBytes = 64 << 10;

// Asked for before the fork: a thread of the daemon may hold the name service's locks meanwhile.
std::vector<gid_t> groups_of(const passwd& user) {
  std::vector<gid_t> groups(16);
  for (;;) {
    int count = static_cast<int>(groups.size());
    const bool fits = getgrouplist(user.pw_name, user.pw_gid, groups.data(), &count) >= 0;
    groups.resize(static_cast<std::size_t>(count));
    if (fits) return groups;
  }
}

}  // namespace

std::string user_name(uid_t user) {
  std::vector<char> buffer(kEntryBytes);
  passwd entry{}, *found = nullptr;
  getpwuid_r(user, &entry, buffer.data(), buffer.size(), &found);
  return found == nullptr ? "#" + std::to_string(user) : found->pw_name;
}

Result<User> find_user(const std::string& name) {
  std::vector<char> buffer(kEntryBytes);
  passwd entry{}, *found = nullptr;
  int error = getpwnam_r(name.c_str(), &entry, buffer.data(), buffer.size(), &found);
  if (found != nullptr)
    return User{name, found->pw_uid, found->pw_gid, groups_of(*found), found->pw_dir};
  if (error != 0 && error != ENOENT) return sys_error("find user " + name, error);
  return make_error(ErrorKind::kNotFound, "there is no user " + name + " on this host");
}

Result<std::optional<User>> user_to_become(const std::string& name) {
  const std::string own = user_name(geteuid());
  if (name == own) return std::optional<User>();
  if (geteuid() != 0) {
    return make_error(ErrorKind::kPermission, "this ckd serves user " + own + " only, not " + name);
  }
  return std::optional(CK_TRY(find_user(name)));
}

Status become(const User& user) {
  if (setgroups(user.groups.size(), user.groups.data()) != 0)
    return sys_error("take the groups of " + user.name);
  if (setresgid(user.gid, user.gid, user.gid) != 0 ||
      setresuid(user.uid, user.uid, user.uid) != 0) {
    return sys_error("become user " + user.name);
  }
  // Nobody, root aside, looks into this process while it still holds what it had as root.
  if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) return sys_error("become user " + user.name);
  if (clearenv() != 0 || setenv("HOME", user.home.c_str(), 1) != 0 ||
      setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1) != 0) {
    return sys_error("set the environment of user " + user.name);
  }
  return {};
}

}  // namespace ck::daemon
