#include "runtime/job/names.h"

#include <pwd.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

namespace ck::job {
namespace {

constexpr std::size_t kLongestName = 64;

bool is_control(char c) {
  auto byte = static_cast<unsigned char>(c);
  return byte < 0x20 || byte == 0x7f;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

Error bad_name(std::string_view name, const std::string& reason) {
  std::string shown;
  for (char c : name.substr(0, kLongestName)) shown += is_control(c) ? '?' : c;
  return make_error(ErrorKind::kUsage, "'" + shown + "' cannot be a job's name: " + reason);
}

std::string from_environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string home_folder() {
  std::string home = from_environment("HOME");
  if (!home.empty()) return home;
  const passwd* entry = getpwuid(geteuid());
  return entry == nullptr || entry->pw_dir == nullptr ? "" : entry->pw_dir;
}

}  // namespace

Status check_name(std::string_view name) {
  if (name.empty()) return bad_name(name, "it is empty");
  if (name.size() > kLongestName) return bad_name(name, "it is longer than 64 bytes");
  if (name.find('/') != std::string_view::npos) return bad_name(name, "it contains '/'");
  if (name[0] == '.' || name[0] == '-') return bad_name(name, "it begins with '.' or '-'");
  if (std::any_of(name.begin(), name.end(), is_control)) {
    return bad_name(name, "it contains a control character");
  }
  if (std::all_of(name.begin(), name.end(), is_digit)) {
    return bad_name(name, "digits alone are a process id");
  }
  return {};
}

Result<std::string> make_id() {
  static constexpr std::string_view kAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::array<unsigned char, 8> random;
  if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    return sys_error("get random bytes for a job's id");
  }
  std::string id;
  for (unsigned char byte : random) id += kAlphabet[byte % (id.empty() ? 26 : kAlphabet.size())];
  return id;
}

std::string default_name(std::string_view program, std::string_view id) {
  std::string name(program.substr(program.rfind('/') + 1));
  std::replace_if(name.begin(), name.end(), is_control, '_');
  name.erase(0, std::min(name.find_first_not_of(".-"), name.size()));
  if (name.size() > kLongestName - 16) name.resize(kLongestName - 16);
  if (name.empty()) name = "job";
  return name + "-" + std::string(id);
}

Result<std::string> jobs_folder(const std::string& option) {
  std::string folder = option.empty() ? from_environment("CKRUN_DIR") : option;
  if (folder.empty()) {
    // The XDG specification: a relative value is to be ignored.
    std::string state = from_environment("XDG_STATE_HOME");
    std::string home = home_folder();
    if (state.starts_with('/')) {
      folder = state + "/ckrun";
    } else if (!home.empty()) {
      folder = home + "/.local/state/ckrun";
    } else {
      return make_error(ErrorKind::kUsage, "no folder for jobs: HOME is not set", "use --dir DIR");
    }
  }
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(folder, error);
  if (error) return sys_error("find the current folder", error.value());
  std::string path = absolute.lexically_normal().string();
  if (path.size() > 1 && path.ends_with('/')) path.pop_back();
  return path;
}

// ENOENT is then the answer of file systems such as /proc that take no folders.
Error cannot_make_folder(const std::string& path, int failure) {
  Error error = sys_error("create folder " + path, failure);
  if (failure == ENOENT) error.kind = ErrorKind::kCannotWrite;
  return error;
}

Status make_folders(const std::string& path) {
  for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
    std::string part = path.substr(0, end);
    if (mkdir(part.c_str(), 0700) != 0 && errno != EEXIST) {
      int failure = errno;
      struct stat info;
      // Where parents are not ours to write (EACCES, EROFS), it is enough that they are there.
      if (stat(part.c_str(), &info) != 0) return cannot_make_folder(part, failure);
    }
    if (end == std::string::npos) break;
  }
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return sys_error("open folder " + path);
  if (!S_ISDIR(info.st_mode)) return sys_error("open folder " + path, ENOTDIR);
  return {};
}

}  // namespace ck::job
