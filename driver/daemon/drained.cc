#include "driver/daemon/drained.h"

#include <unistd.h>

#include "runtime/job/small_file.h"

namespace ck::daemon {
namespace {

std::string path_in(const std::string& state_folder) {
  return state_folder + "/drained";
}

}  // namespace

Result<bool> read_drained(const std::string& state_folder) {
  const std::string path = path_in(state_folder);
  if (::access(path.c_str(), F_OK) == 0) return true;
  if (errno == ENOENT) return false;
  return sys_error("look for " + path);
}

Status write_drained(const std::string& state_folder, bool drained) {
  const std::string path = path_in(state_folder);
  if (drained) return job::replace_file(path, "ckpt undrain removes this\n");
  if (::unlink(path.c_str()) != 0 && errno != ENOENT) return sys_error("remove " + path);
  return job::sync_folder(state_folder);
}

}  // namespace ck::daemon
