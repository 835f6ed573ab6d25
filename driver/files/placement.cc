#include "driver/files/placement.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <map>

#include "driver/files/list.h"
#include "runtime/base/timespec.h"
#include "runtime/base/unique_fd.h"
#include "runtime/job/small_file.h"

namespace ck::driver::files {
namespace {

constexpr std::size_t kLongestRecord = 128u << 20;

bool look(const std::string& path, struct stat& status) {
  return !path.empty() && ::lstat(path.c_str(), &status) == 0;
}

bool same_inode(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

Error changed(const std::string& path) {
  return make_error(ErrorKind::kRefused, path + " was changed here meanwhile",
                    "find out by whom, and try again");
}

Status remove_name(const std::string& path) {
  if (path.empty() || ::unlink(path.c_str()) == 0 || errno == ENOENT || errno == ENOTDIR) return {};
  return sys_error("remove " + path);
}

// Never over another file, and also where the file system knows no such renaming.
Status put_aside(const std::string& from, const std::string& to) {
  struct stat one {
  }, other{};
  if (look(from, one) && look(to, other) && same_inode(one, other)) return remove_name(from);
  if (::link(from.c_str(), to.c_str()) != 0) return sys_error("rename " + from + " to " + to);
  return remove_name(from);
}

Status install(const wire::Placed& file) {
  struct stat there {
  }, ours{};
  const bool taken = look(file.path(), there);
  const bool as_it_was = taken && same(identity_of(there), file.here());
  if (file.gone()) {
    if (!taken) return {};
    return as_it_was ? put_aside(file.path(), file.old()) : changed(file.path());
  }
  if (file.temporary().empty()) return as_it_was ? Status() : changed(file.path());
  if (!look(file.temporary(), ours)) return sys_error("look at " + file.temporary());
  if (taken && same_inode(there, ours)) return {};
  if (taken && !as_it_was) return changed(file.path());
  if (taken) CK_TRY(put_aside(file.path(), file.old()));
  if (::link(file.temporary().c_str(), file.path().c_str()) == 0) return {};
  return sys_error("put a file at " + file.path());
}

// Whether what is there was put there by us.
bool is_ours(const wire::Placed& file) {
  struct stat there {
  }, staged{};
  if (file.temporary().empty() || !look(file.path(), there)) return false;
  if (look(file.temporary(), staged)) return same_inode(there, staged);
  return file.has_put() && file.put().device() == there.st_dev &&
         file.put().inode() == there.st_ino;
}

Status take_back(const wire::Placed& file) {
  if (is_ours(file)) CK_TRY(remove_name(file.path()));
  struct stat status {};
  if (look(file.old(), status) && !look(file.path(), status))
    CK_TRY(put_aside(file.old(), file.path()));
  return remove_name(file.temporary());
}

Status sync_all(const wire::Placement& placement) {
  std::map<dev_t, std::string> systems;
  struct stat status {};
  for (const wire::Placed& file : placement.placed())
    if (look(file.temporary(), status))
      systems[status.st_dev] = file.path().substr(0, file.path().rfind('/') + 1);
  for (const auto& [device, folder] : systems) {
    const UniqueFd fd(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!fd || ::syncfs(fd.get()) != 0) return sys_error("write " + folder + " to disk");
  }
  return {};
}

Status set_folder(const wire::Placed& folder) {
  const timespec modified = to_timespec(folder.mtime_ns());
  const timespec times[2] = {modified, modified};
  if (::chmod(folder.path().c_str(), folder.mode()) != 0 ||
      ::utimensat(AT_FDCWD, folder.path().c_str(), times, 0) != 0)
    return sys_error("set the mode of " + folder.path());
  return {};
}

bool none(const Result<wire::Placement>& placement) {
  return !placement.ok() && placement.error().errnum == ENOENT;
}

}  // namespace

Result<wire::Placement> load_placement(const std::string& path) {
  wire::Placement placement;
  if (!placement.ParseFromString(CK_TRY(job::read_small_file(path, kLongestRecord))))
    return make_error(ErrorKind::kBadImage, path + " is damaged");
  return placement;
}

Status save_placement(const std::string& path, const wire::Placement& placement) {
  return job::replace_file(path, placement.SerializeAsString());
}

Status install(const Place& place) {
  const auto placement = load_placement(place.record);
  if (none(placement)) return {};
  if (!placement.ok()) return placement.error();
  if (placement->settled()) return {};
  for (const wire::Placed& file : placement->placed())
    if (file.kind() != wire::DIRECTORY) CK_TRY(install(file));
  return sync_all(*placement);
}

Status settle(const Place& place) {
  auto placement = load_placement(place.record);
  if (none(placement)) return {};
  if (!placement.ok()) return placement.error();
  if (!placement->settled()) {
    for (wire::Placed& file : *placement->mutable_placed()) {
      struct stat status {};
      if (!file.temporary().empty() && look(file.path(), status))
        *file.mutable_put() = identity_of(status);
    }
    placement->set_settled(true);
    CK_TRY(save_placement(place.record, *placement));
  }
  for (const wire::Placed& file : placement->placed()) {
    CK_TRY(remove_name(file.temporary()));
    CK_TRY(remove_name(file.old()));
  }
  // Backwards: a folder's time is that of the last change in it.
  for (int i = placement->placed_size() - 1; i >= 0; --i)
    if (placement->placed(i).kind() == wire::DIRECTORY) CK_TRY(set_folder(placement->placed(i)));
  return {};
}

Status take_back(const Place& place) {
  const auto placement = load_placement(place.record);
  if (none(placement)) return {};
  if (!placement.ok()) return placement.error();
  for (const std::string& folder : placement->folders()) ::chmod(folder.c_str(), 0700);
  for (const wire::Placed& file : placement->placed())
    if (file.kind() != wire::DIRECTORY) CK_TRY(take_back(file));
  for (int i = placement->folders_size() - 1; i >= 0; --i) {
    // Not if somebody has put something there.
    const std::string& folder = placement->folders(i);
    if (::rmdir(folder.c_str()) != 0 && errno != ENOTEMPTY && errno != EEXIST && errno != ENOENT)
      return sys_error("remove " + folder);
  }
  return remove_name(place.record);
}

}  // namespace ck::driver::files
