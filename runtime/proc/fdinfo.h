// The descriptors of a process, from /proc/PID/fd and /proc/PID/fdinfo. Any thread; needs
// PTRACE_MODE_READ. A consistent answer needs the process stopped; descriptors that vanish while
// the list is read are left out.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"

namespace ck::proc {

struct FileLock {
  enum class Kind { kPosix, kOfd, kFlock, kLease };
  Kind kind = Kind::kPosix;
  bool exclusive = false;
  pid_t owner = 0;  // of POSIX locks and leases: the process; of OFD: -1
  std::uint64_t inode = 0;
  std::uint64_t start = 0;
  std::uint64_t length = 0;  // 0: to the end
};

struct FdInfo {
  std::int64_t position = 0;
  std::uint32_t flags = 0;  // O_ flags; O_CLOEXEC is the descriptor's
  int mount_id = 0;
  ino_t inode = 0;              // 0: a kernel before 5.14
  std::vector<FileLock> locks;  // taken through this open file (POSIX: by this process)
  std::string text;             // all of it, for what only one kind of descriptor has
};

struct FdEntry {
  int fd = -1;
  std::string target;  // as the link shows it: "/path", "pipe:[123]", "anon_inode:[eventfd]"
  FdInfo info;
};

// The two folders, for who need not know all of every descriptor: programs may have thousands, and
// looking at them is part of the pause. A descriptor that is not there (any more) is ENOENT.
class DescriptorFolder {
 public:
  static Result<DescriptorFolder> open(RealPid pid);
  Result<std::string> target(int fd) const;
  Result<struct stat> status(int fd) const;  // of the file that it leads to
  Result<FdInfo> info(int fd) const;

 private:
  DescriptorFolder(RealPid pid, UniqueFd links, UniqueFd infos)
      : pid_(pid), links_(std::move(links)), infos_(std::move(infos)) {}
  RealPid pid_;
  UniqueFd links_, infos_;
};

Result<std::vector<FdEntry>> read_descriptors(RealPid pid);  // by number
Result<FdInfo> read_fdinfo(RealPid pid, int fd);
Result<FdInfo> parse_fdinfo(std::string_view text);

// How many descriptors a process has; 0: a kernel before 6.2 does not tell.
Result<std::size_t> count_descriptors(RealPid pid);

// The inodes on which somebody holds a POSIX lock (on whatever file system), from /proc/locks.
Result<std::set<ino_t>> read_locked_inodes();

// The value after "name:" in an fdinfo text, without blanks around it; empty if there is none.
std::string_view fdinfo_field(std::string_view text, std::string_view name);
// The lines that begin with `prefix`, without it.
std::vector<std::string_view> fdinfo_lines(std::string_view text, std::string_view prefix);

}  // namespace ck::proc
