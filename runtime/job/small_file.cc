#include "runtime/job/small_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/unique_fd.h"

namespace ck::job {
namespace {

Status write_all(int fd, const std::string& content, const std::string& path) {
  std::size_t done = 0;
  while (done < content.size()) {
    ssize_t count = write(fd, content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return sys_error("write " + path);
    done += static_cast<std::size_t>(count);
  }
  return {};
}

Status write_temporary(const std::string& path, const std::string& content) {
  UniqueFd fd(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return sys_error("create " + path);
  CK_TRY(write_all(fd.get(), content, path));
  if (fsync(fd.get()) != 0) return sys_error("write " + path + " to disk");
  return {};
}

Status rename_durably(const std::string& from, const std::string& to) {
  if (rename(from.c_str(), to.c_str()) != 0) {
    Error error = sys_error("rename " + from + " to " + to);
    unlink(from.c_str());
    return error;
  }
  return sync_folder(to.substr(0, to.rfind('/')));
}

}  // namespace

Result<std::string> read_small_file(const std::string& path, std::size_t limit) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return sys_error("open " + path);
  std::string content;
  char buffer[4096];
  for (;;) {
    ssize_t count = read(fd.get(), buffer, sizeof buffer);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return sys_error("read " + path);
    if (count == 0) return content;
    content.append(buffer, static_cast<std::size_t>(count));
    if (content.size() > limit) {
      return make_error(ErrorKind::kRefused, path + " is too long for what it should be");
    }
  }
}

Status replace_file(const std::string& path, const std::string& content,
                    const std::function<Status()>& before_rename) {
  // One supervisor writes at a time (it holds the lock), but a stale one may be at work elsewhere.
  std::string temporary = path + ".tmp-" + std::to_string(getpid());
  Status status = write_temporary(temporary, content);
  if (status.ok() && before_rename) status = before_rename();
  if (status.ok()) return rename_durably(temporary, path);
  unlink(temporary.c_str());
  return status;
}

Status sync_folder(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd) return sys_error("open folder " + path);
  // EINVAL: the file system cannot sync folders and needs no such thing.
  if (fsync(fd.get()) != 0 && errno != EINVAL)
    return sys_error("write folder " + path + " to disk");
  return {};
}

}  // namespace ck::job
