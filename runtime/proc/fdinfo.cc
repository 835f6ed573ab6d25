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

// By the two folders' descriptors and with one read each where that is enough: programs may have
// thousands of descriptors, and all of this is part of the pause.
Result<std::vector<FdEntry>> read_descriptors(RealPid pid) {
  UniqueFd links = CK_TRY(open_proc(pid, "fd", O_RDONLY | O_DIRECTORY));
  UniqueFd infos = CK_TRY(open_proc(pid, "fdinfo", O_RDONLY | O_DIRECTORY));
  std::vector<FdEntry> entries;
  char buffer[4096];
  for (int fd : CK_TRY(list_proc_numbers(pid, "fd"))) {
    std::string name = std::to_string(fd);
    ssize_t length = ::readlinkat(links.get(), name.c_str(), buffer, sizeof buffer);
    if (length < 0 && errno == ENOENT) continue;
    if (length < 0) return sys_error("read link " + proc_path(pid, "fd/" + name));
    FdEntry entry{fd, std::string(buffer, static_cast<std::size_t>(length)), {}};
    UniqueFd info(::openat(infos.get(), name.c_str(), O_RDONLY | O_CLOEXEC));
    if (!info && errno == ENOENT) continue;
    ssize_t got = ::read(info.get(), buffer, sizeof buffer);
    if (got < 0) return sys_error("read " + proc_path(pid, "fdinfo/" + name));
    std::string_view text(buffer, static_cast<std::size_t>(got));
    // A file of the kernel's yields a part of its lines in one read when there are many.
    bool is_whole = got < 2048 && ::read(info.get(), buffer + got, sizeof buffer - 2048) == 0;
    entry.info = CK_TRY(is_whole ? parse_fdinfo(text) : read_fdinfo(pid, fd));
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace ck::proc
