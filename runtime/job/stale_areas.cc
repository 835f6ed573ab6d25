#include "runtime/job/stale_areas.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>

#include "runtime/abi/control_area.h"
#include "runtime/base/unique_fd.h"

namespace ck::job {
namespace {

namespace fs = std::filesystem;

template <typename T>
bool load(int fd, std::uint64_t offset, T& value) {
  return pread(fd, &value, sizeof value, static_cast<off_t>(offset)) ==
         static_cast<ssize_t>(sizeof value);
}

// A file that is still being made has no magic yet.
bool has_dead_owner(int fd) {
  struct stat status {};
  std::uint64_t magic = 0;
  std::uint64_t word_offset = 0;
  std::uint32_t word = 0;
  return fstat(fd, &status) == 0 && status.st_uid == geteuid() &&
         load(fd, offsetof(abi::AreaHeader, magic), magic) && magic == abi::kMagic &&
         load(fd, offsetof(abi::AreaHeader, owner_word_offset), word_offset) &&
         load(fd, word_offset, word) && (word & FUTEX_OWNER_DIED) != 0;
}

// A program whose supervisor died goes on, and programs that it starts look the file up by name. A
// read lease is given only where nobody has the file open or mapped for writing (fcntl(2)): it
// knows of processes in other pid namespaces and of other users, which /proc may not show.
bool is_mapped(int fd) {
  // Who opens it meanwhile waits, and we are told: not by SIGIO, which would end us.
  if (fcntl(fd, F_SETSIG, SIGURG) != 0 || fcntl(fd, F_SETLEASE, F_RDLCK) != 0) return true;
  (void)fcntl(fd, F_SETLEASE, F_UNLCK);
  return false;
}

}  // namespace

void remove_stale_areas(const std::string& folder) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    if (!entry.path().filename().string().starts_with("ckrun-")) continue;
    const UniqueFd fd(open(entry.path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (fd && has_dead_owner(fd.get()) && !is_mapped(fd.get())) unlink(entry.path().c_str());
  }
}

}  // namespace ck::job
