#include "runtime/proc/fdinfo.h"

#include <fcntl.h>
#include <unistd.h>

#include "runtime/proc/proc_file.h"
#include "runtime/proc/text_cursor.h"

namespace ck::proc {
namespace {

// "	1: POSIX  ADVISORY  WRITE 1234 fe:01:5678 0 EOF"; a leading "->" marks one that waits.
bool parse_lock(std::string_view line, FileLock& lock) {
  TextCursor cursor(line);
  cursor.number();
  cursor.expect(':');
  std::string_view kind = cursor.word();
  if (kind == "POSIX") {
    lock.kind = FileLock::Kind::kPosix;
  } else if (kind == "OFDLCK") {
    lock.kind = FileLock::Kind::kOfd;
  } else if (kind == "FLOCK") {
    lock.kind = FileLock::Kind::kFlock;
  } else if (kind == "LEASE" || kind == "DELEG") {
    lock.kind = FileLock::Kind::kLease;
  } else {
    return false;
  }
  cursor.word();  // ADVISORY, ACTIVE, …
  lock.exclusive = cursor.word() == "WRITE";
  lock.owner = cursor.number<pid_t>();
  cursor.number<unsigned>(16);
  cursor.expect(':');
  cursor.number<unsigned>(16);
  cursor.expect(':');
  lock.inode = cursor.number();
  lock.start = cursor.number();
  std::string_view end = cursor.word();
  if (end != "EOF") lock.length = TextCursor(end).number() - lock.start + 1;
  return !cursor.failed();
}

}  // namespace

std::string_view fdinfo_field(std::string_view text, std::string_view name) {
  TextCursor cursor(text);
  while (!cursor.at_end()) {
    TextCursor line(cursor.line());
    if (!line.accept(name) || !line.accept(':')) continue;
    line.blanks();
    std::string_view value = line.rest();
    while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
    return value;
  }
  return {};
}

std::vector<std::string_view> fdinfo_lines(std::string_view text, std::string_view prefix) {
  std::vector<std::string_view> found;
  TextCursor cursor(text);
  while (!cursor.at_end()) {
    std::string_view line = cursor.line();
    if (line.starts_with(prefix)) found.push_back(line.substr(prefix.size()));
  }
  return found;
}

Result<FdInfo> parse_fdinfo(std::string_view text) {
  FdInfo info;
  info.text = text;
  info.position = TextCursor(fdinfo_field(text, "pos")).number<std::int64_t>();
  TextCursor flags(fdinfo_field(text, "flags"));
  info.flags = flags.number<std::uint32_t>(8);
  info.mount_id = TextCursor(fdinfo_field(text, "mnt_id")).number<int>();
  info.inode = TextCursor(fdinfo_field(text, "ino")).number();
  if (flags.failed()) {
    return make_error(ErrorKind::kSystem, "fdinfo has an unknown form: " + std::string(text));
  }
  for (std::string_view line : fdinfo_lines(text, "lock:")) {
    FileLock lock;
    if (!parse_lock(line, lock)) {
      return make_error(ErrorKind::kSystem,
                        "fdinfo has a lock of unknown form: " + std::string(line));
    }
    info.locks.push_back(lock);
  }
  return info;
}

Result<FdInfo> read_fdinfo(RealPid pid, int fd) {
  std::string text = CK_TRY(read_proc(pid, "fdinfo/" + std::to_string(fd)));
  return parse_fdinfo(text);
}

Result<std::size_t> count_descriptors(RealPid pid) {
  const std::string path = proc_path(pid, "fd");
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return sys_error("examine " + path);
  return static_cast<std::size_t>(status.st_size);
}

Result<std::set<ino_t>> read_locked_inodes() {
  constexpr const char* kPath = "/proc/locks";
  UniqueFd file(::open(kPath, O_RDONLY | O_CLOEXEC));
  if (!file) return sys_error(std::string("open ") + kPath);
  const std::string text = CK_TRY(read_all(file.get(), kPath));
  std::set<ino_t> inodes;
  TextCursor cursor(text);
  while (!cursor.at_end()) {
    FileLock lock;  // lines of another form: those who wait
    if (parse_lock(cursor.line(), lock) && lock.kind == FileLock::Kind::kPosix)
      inodes.insert(lock.inode);
  }
  return inodes;
}

Result<DescriptorFolder> DescriptorFolder::open(RealPid pid) {
  UniqueFd links = CK_TRY(open_proc(pid, "fd", O_RDONLY | O_DIRECTORY));
  UniqueFd infos = CK_TRY(open_proc(pid, "fdinfo", O_RDONLY | O_DIRECTORY));
  return DescriptorFolder(pid, std::move(links), std::move(infos));
}

Result<std::string> DescriptorFolder::target(int fd) const {
  const std::string name = std::to_string(fd);
  char buffer[4096];
  const ssize_t length = ::readlinkat(links_.get(), name.c_str(), buffer, sizeof buffer);
  if (length < 0) return sys_error("read link " + proc_path(pid_, "fd/" + name));
  return std::string(buffer, static_cast<std::size_t>(length));
}

Result<struct stat> DescriptorFolder::status(int fd) const {
  const std::string name = std::to_string(fd);
  struct stat status {};
  if (::fstatat(links_.get(), name.c_str(), &status, 0) != 0)
    return sys_error("examine " + proc_path(pid_, "fd/" + name));
  return status;
}

// The kernel makes the whole text at the first read: what fits into the buffer is all of it.
Result<FdInfo> DescriptorFolder::info(int fd) const {
  const std::string name = std::to_string(fd);
  char buffer[4096];
  UniqueFd info(::openat(infos_.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
  const ssize_t got = info ? ::read(info.get(), buffer, sizeof buffer) : -1;
  if (got < 0) return sys_error("read " + proc_path(pid_, "fdinfo/" + name));
  if (static_cast<std::size_t>(got) == sizeof buffer) return read_fdinfo(pid_, fd);
  return parse_fdinfo(std::string_view(buffer, static_cast<std::size_t>(got)));
}

Result<std::vector<FdEntry>> read_descriptors(RealPid pid) {
  const DescriptorFolder folder = CK_TRY(DescriptorFolder::open(pid));
  std::vector<FdEntry> entries;
  for (int fd : CK_TRY(list_proc_numbers(pid, "fd"))) {
    Result<std::string> target = folder.target(fd);
    Result<FdInfo> info = target.ok() ? folder.info(fd) : std::move(target).error();
    if (!info.ok() && info.error().errnum == ENOENT) continue;
    entries.push_back({fd, *std::move(target), CK_TRY(std::move(info))});
  }
  return entries;
}

}  // namespace ck::proc
