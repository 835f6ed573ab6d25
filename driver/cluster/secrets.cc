#include "driver/cluster/secrets.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>

#include "runtime/job/small_file.h"

namespace ck::cluster {
namespace {

Status check_mode(const std::string& path, mode_t forbidden) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return sys_error("open " + path);
  if (info.st_uid != geteuid() && info.st_uid != 0) {
    return make_error(ErrorKind::kPermission, path + " belongs to another user");
  }
  if ((info.st_mode & forbidden) != 0) {
    return make_error(
        ErrorKind::kPermission,
        path + " could be " + (forbidden == 0077 ? "read" : "changed") + " by other users",
        "chmod 600 it, if you know that nobody did");
  }
  return {};
}

}  // namespace

Result<std::string> config_folder(const std::string& option) {
  const char* base = std::getenv("XDG_CONFIG_HOME");
  const char* home = std::getenv("HOME");
  std::string folder;
  if (!option.empty()) {
    folder = option;
  } else if (geteuid() == 0) {
    folder = "/etc/ckrun";
  } else if (base != nullptr && *base != '\0') {
    folder = std::string(base) + "/ckrun";
  } else if (home != nullptr && *home != '\0') {
    folder = std::string(home) + "/.config/ckrun";
  } else {
    return make_error(ErrorKind::kUsage, "HOME is not set: no folder for ckd's configuration",
                      "name it with --config");
  }
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(folder, error);
  if (error) return sys_error("find folder " + folder, error.value());
  return absolute.lexically_normal().string();
}

Result<std::string> read_trusted(const std::string& path) {
  CK_TRY(check_mode(path, 0022));
  return job::read_small_file(path);
}

Result<std::string> read_secret(const std::string& path) {
  CK_TRY(check_mode(path, 0077));
  return job::read_small_file(path);
}

Result<UniqueFd> lock_folder(const std::string& folder) {
  std::string path = folder + "/lock";
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return sys_error("open " + path);
  while (flock(fd.get(), LOCK_EX) != 0) {
    if (errno != EINTR) return sys_error("lock " + path);
  }
  return fd;
}

}  // namespace ck::cluster
