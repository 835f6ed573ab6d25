#include "driver/client/socket_path.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

namespace ck::client {
namespace {

constexpr char kRootSocket[] = "/run/ckrun/ckd.sock";

}  // namespace

std::string own_socket() {
  const char* chosen = std::getenv("CKD_SOCKET");
  if (chosen != nullptr && *chosen != '\0') return chosen;
  if (geteuid() == 0) return kRootSocket;
  const char* runtime = std::getenv("XDG_RUNTIME_DIR");
  if (runtime != nullptr && *runtime != '\0') return std::string(runtime) + "/ckrun/ckd.sock";
  return "/tmp/ckrun-" + std::to_string(geteuid()) + "/ckd.sock";
}

std::vector<std::string> sockets_to_try() {
  std::vector<std::string> paths{own_socket()};
  if (std::getenv("CKD_SOCKET") == nullptr && paths[0] != kRootSocket) {
    paths.emplace_back(kRootSocket);
  }
  return paths;
}

Status prepare_socket_folder(const std::string& socket) {
  std::size_t slash = socket.rfind('/');
  if (slash == std::string::npos || slash == 0) {
    return make_error(ErrorKind::kUsage,
                      "'" + socket + "' is not the path of a socket in a folder");
  }
  std::string folder = socket.substr(0, slash);
  mode_t mode = geteuid() == 0 ? 0755 : 0700;
  bool made = mkdir(folder.c_str(), mode) == 0;
  if (!made && errno != EEXIST) return sys_error("create folder " + folder);
  // What umask took away.
  if (made && chmod(folder.c_str(), mode) != 0) return sys_error("chmod " + folder);
  struct stat info;
  if (lstat(folder.c_str(), &info) != 0) return sys_error("open folder " + folder);
  bool ours = S_ISDIR(info.st_mode) && info.st_uid == geteuid() && (info.st_mode & 0022) == 0;
  if (ours) return {};
  return make_error(ErrorKind::kPermission, folder + " is not a folder that is only ours to write",
                    "name another socket with $CKD_SOCKET");
}

}  // namespace ck::client
