#include "runtime/proc/proc_file.h"

#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <charconv>
#include <memory>

namespace ck::proc {

std::string proc_path(RealPid pid, std::string_view name) {
  std::string path = "/proc/" + to_string(pid);
  if (!name.empty()) path.append("/").append(name);
  return path;
}

Result<UniqueFd> open_proc(RealPid pid, std::string_view name, int flags) {
  std::string path = proc_path(pid, name);
  UniqueFd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd) return sys_error("open " + path);
  return fd;
}

Result<std::string> read_all(int fd, const std::string& name) {
  std::string text;
  std::size_t used = 0;
  for (;;) {
    if (text.size() - used < 4096) text.resize(std::max<std::size_t>(16384, text.size() * 2));
    ssize_t got = ::read(fd, text.data() + used, text.size() - used);
    if (got < 0) {
      if (errno == EINTR) continue;
      return sys_error("read " + name);
    }
    if (got == 0) break;
    used += static_cast<std::size_t>(got);
  }
  text.resize(used);
  return text;
}

Result<std::string> read_proc(RealPid pid, std::string_view name) {
  UniqueFd fd = CK_TRY(open_proc(pid, name, O_RDONLY));
  return read_all(fd.get(), proc_path(pid, name));
}

Status write_proc(RealPid pid, std::string_view name, std::string_view text) {
  UniqueFd fd = CK_TRY(open_proc(pid, name, O_WRONLY));
  if (::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()))
    return sys_error("write " + proc_path(pid, name));
  return {};
}

Result<std::string> read_proc_link(RealPid pid, std::string_view name) {
  std::string path = proc_path(pid, name);
  std::string target(4096, '\0');
  ssize_t length = ::readlink(path.c_str(), target.data(), target.size());
  if (length < 0) return sys_error("read link " + path);
  target.resize(static_cast<std::size_t>(length));
  return target;
}

Result<std::vector<int>> list_proc_numbers(RealPid pid, std::string_view name) {
  std::string path = proc_path(pid, name);
  std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (!folder) return sys_error("open " + path);
  std::vector<int> numbers;
  errno = 0;
  while (const dirent* entry = ::readdir(folder.get())) {
    std::string_view text = entry->d_name;
    int number = 0;
    auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error == std::errc() && end == text.data() + text.size()) numbers.push_back(number);
    errno = 0;
  }
  if (errno != 0) return sys_error("list " + path);
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace ck::proc
