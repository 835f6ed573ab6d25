#include "runtime/job/stale_areas.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>
#include <string_view>

#include "runtime/abi/control_area.h"
#include "runtime/base/unique_fd.h"
#include "runtime/proc/proc_file.h"

namespace ck::job {
namespace {

namespace fs = std::filesystem;

template <typename T>
bool load(int fd, std::uint64_t offset, T& value) {
  return pread(fd, &value, sizeof value, static_cast<off_t>(offset)) ==
         static_cast<ssize_t>(sizeof value);
}

// A file that is still being made has no magic yet.
bool is_ownerless(const fs::path& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
  struct stat status {};
  std::uint64_t magic = 0;
  std::uint64_t word_offset = 0;
  std::uint32_t word = 0;
  return fd && fstat(fd.get(), &status) == 0 && status.st_uid == geteuid() &&
         load(fd.get(), offsetof(abi::AreaHeader, magic), magic) && magic == abi::kMagic &&
         load(fd.get(), offsetof(abi::AreaHeader, owner_word_offset), word_offset) &&
         load(fd.get(), word_offset, word) && (word & FUTEX_OWNER_DIED) != 0;
}

// A program whose supervisor died goes on, and programs that it starts look the file up by name.
void forget_mapped(std::set<std::string>& paths) {
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator("/proc", ignored)) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    const Result<std::string> maps = proc::read_proc(RealPid(std::stoi(name)), "maps");
    if (!maps.ok() || maps->find("/ckrun-") == std::string::npos) continue;
    std::erase_if(paths,
                  [&](const std::string& path) { return maps->find(path) != std::string::npos; });
  }
}

}  // namespace

void remove_stale_areas(const std::string& folder) {
  std::set<std::string> candidates;
  std::error_code ignored;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, ignored)) {
    const std::string name = entry.path().filename();
    if (name.starts_with("ckrun-") && is_ownerless(entry.path())) candidates.insert(entry.path());
  }
  if (!candidates.empty()) forget_mapped(candidates);
  for (const std::string& path : candidates) unlink(path.c_str());
}

}  // namespace ck::job
