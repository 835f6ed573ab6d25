#include "driver/files/collect.h"

#include <dirent.h>
#include <fcntl.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstring>
#include <map>
#include <memory>
#include <set>

#include "driver/files/list.h"
#include "runtime/base/path_map.h"
#include "runtime/base/timespec.h"
#include "runtime/image/format.h"
#include "runtime/job/job_dir.h"

namespace ck::driver::files {
namespace {

constexpr std::string_view kAgent = "/libckrun.so";  // each installation has its own
constexpr const char* kHint = "start the job in a folder of its own, or use --files shared";

std::string home_folder() {
  const passwd* const entry = ::getpwuid(::geteuid());
  return entry != nullptr ? entry->pw_dir : "";
}

class Collection {
 public:
  explicit Collection(std::string jobs_folder) : jobs_folder_(std::move(jobs_folder)) {}

  Status add_files(const image::Manifest& manifest) {
    std::set<std::uint32_t> written;
    for (const image::OpenFileRecord& file : manifest.open_files()) {
      if ((file.flags() & O_ACCMODE) != O_RDONLY) written.insert(file.object());
      if (file.kind() == "fifo") CK_TRY(add_own(file.name(), false));
    }
    for (const image::ProcessRecord& process : manifest.processes())
      for (const image::MappingRecord& mapping : process.mappings())
        if (mapping.shared() && mapping.writable_file()) written.insert(mapping.object());
    for (int i = 0; i < manifest.objects_size(); ++i) {
      const image::ObjectRecord& object = manifest.objects(i);
      const bool by_path = object.kind() == image::ObjectRecord::PATH ||
                           object.kind() == image::ObjectRecord::DIRECTORY;
      if (by_path && !object.path().ends_with(kAgent))
        CK_TRY(add_own(object.path(), written.contains(static_cast<std::uint32_t>(i) + 1)));
    }
    return {};
  }

  Status add_trees(const image::Manifest& manifest) {
    std::set<std::string> folders;
    for (const image::ProcessRecord& process : manifest.processes()) folders.insert(process.cwd());
    for (const std::string& folder : folders) {
      struct stat status {};
      if (::stat(folder.c_str(), &status) != 0 || !is_own(folder, status)) continue;
      if (const std::string home = home_folder(); is_below(home, folder))
        return make_error(ErrorKind::kRefused,
                          "the job works in " + folder + ", which does not go along whole", kHint);
      trees_.insert(folder);
      CK_TRY(add(folder, status));
      CK_TRY(add_below(folder));
    }
    return {};
  }

  wire::List take(std::int64_t begun) {
    wire::List list;
    list.set_taken_unix_ns(begun);
    for (auto& [path, entry] : entries_) *list.add_entries() = std::move(entry);
    for (const std::string& tree : trees_) list.add_trees(tree);
    return list;
  }

 private:
  Status add_own(const std::string& path, bool written) {
    struct stat status {};
    if (is_kernels(path) || ::lstat(path.c_str(), &status) != 0 || !is_own(path, status)) return {};
    if (is_below(path, jobs_folder_)) return {};
    CK_TRY(add(path, status));
    if (const auto found = entries_.find(path); found != entries_.end() && written)
      found->second.set_written(true);
    return {};
  }

  Status add(const std::string& path, const struct stat& status) {
    wire::Entry entry;
    if (S_ISREG(status.st_mode)) {
      entry.set_kind(wire::REGULAR);
      entry.set_size(static_cast<std::uint64_t>(status.st_size));
    } else if (S_ISDIR(status.st_mode)) {
      entry.set_kind(wire::DIRECTORY);
    } else if (S_ISLNK(status.st_mode)) {
      entry.set_kind(wire::SYMLINK);
      std::array<char, PATH_MAX> target;
      const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
      if (size <= 0) return {};  // it has just gone
      entry.set_target(target.data(), static_cast<std::size_t>(size));
    } else if (S_ISFIFO(status.st_mode)) {
      entry.set_kind(wire::FIFO);
    } else {
      return {};  // sockets come to be again by themselves; devices are not the job's
    }
    entry.set_path(path);
    entry.set_mode(status.st_mode & 01777);
    entry.set_mtime_ns(to_nanoseconds(status.st_mtim));
    *entry.mutable_identity() = identity_of(status);
    if (!entries_.emplace(path, entry).second) return {};
    return count(entry);
  }

  Status count(const wire::Entry& entry) {
    bytes_ += entry.size();
    if (entries_.size() <= kMostFiles && bytes_ <= kMostBytes) return {};
    return make_error(ErrorKind::kRefused,
                      "the job's files are more than " + std::to_string(kMostFiles) + ", or than " +
                          image::human_bytes(kMostBytes) + ", which is what goes along at most",
                      kHint);
  }

  Status add_below(const std::string& folder) {
    const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(folder.c_str()), ::closedir);
    if (!listing && errno == ENOENT) return {};
    if (!listing) return sys_error("list " + folder).with_hint(kHint);
    while (const dirent* item = ::readdir(listing.get())) {
      const std::string_view name = item->d_name;
      if (name == "." || name == ".." || name.starts_with(kTemporaryPrefix)) continue;
      const std::string path = folder + "/" + item->d_name;
      struct stat status {};
      if (path == jobs_folder_ || ::lstat(path.c_str(), &status) != 0) continue;
      CK_TRY(add(path, status));
      if (S_ISDIR(status.st_mode)) CK_TRY(add_below(path));
    }
    return {};
  }

  std::string jobs_folder_;
  std::map<std::string, wire::Entry> entries_;
  std::set<std::string> trees_;
  std::uint64_t bytes_ = 0;
};

}  // namespace

Result<wire::List> collect(const image::Manifest& manifest, const std::string& jobs_folder) {
  const std::int64_t begun = job::unix_now_ns();
  Collection collection(jobs_folder);
  CK_TRY(collection.add_files(manifest));
  CK_TRY(collection.add_trees(manifest));
  return collection.take(begun);
}

}  // namespace ck::driver::files
