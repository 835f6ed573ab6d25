// Users by name: it is the name that is the same on two hosts, not the number. Any thread.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "runtime/base/result.h"

namespace ck::daemon {

// "#1234" for a user who has no name.
std::string user_name(uid_t user);

struct User {
  std::string name;
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::string home;
};
// kNotFound if this host has no such user.
Result<User> find_user(const std::string& name);

// Whom a child process must become to work for `name`: nobody, if that is our own user. kPermission
// if we are neither that user nor root.
Result<std::optional<User>> user_to_become(const std::string& name);

// Becomes that user for good, with the environment of a fresh login. Only in a child process of its
// own; needs root.
Status become(const User& user);

}  // namespace ck::daemon
