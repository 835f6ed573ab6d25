// stage() of placement.h.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <climits>
#include <cstdio>
#include <map>
#include <set>

#include "driver/files/compare.h"
#include "driver/files/list.h"
#include "driver/files/placement.h"
#include "runtime/base/timespec.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/format.h"

namespace ck::driver::files {
namespace {

Error in_the_way(const std::string& path, const char* what) {
  return make_error(ErrorKind::kRefused, path + " " + what,
                    "move it away, or let the job's files be elsewhere with --files map OLD=NEW");
}

std::string folder_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == 0 ? "/" : path.substr(0, slash);
}

Error cannot_make(const std::string& path) {
  return sys_error("make " + path).with_hint("it is among the files that go along with the job");
}

class Staging {
 public:
  Staging(const image::Reader& bundle, const Place& place, wire::List list)
      : place_(place), list_(std::move(list)), contents_(bundle) {}

  Status run() {
    CK_TRY(load());
    if (staged_) return {};  // it was sent again, and may be put at its place already
    for (const wire::Entry& entry : list_.entries()) CK_TRY(decide(entry));
    for (const auto& [path, entry] : left_) CK_TRY(decide_gone(path, entry));
    for (const auto& [path, placed] : before_)
      if (!next_.contains(path) || next_[path].temporary() != placed.temporary())
        if (!placed.temporary().empty()) ::unlink(placed.temporary().c_str());
    CK_TRY(save({}));
    for (const std::string& folder : folders_)
      if (::mkdir(folder.c_str(), 0700) != 0 && errno != EEXIST) return cannot_make(folder);
    for (const wire::Entry& entry : list_.entries()) CK_TRY(fill(entry));
    return save(checksum());
  }

 private:
  Status load() {
    const auto placement = load_placement(place_.record);
    if (placement.ok()) {
      staged_ = placement->staged() == checksum();
      if (staged_) return {};
      if (placement->settled())
        return make_error(ErrorKind::kRefused, "a peer sends files of a job that runs");
      for (const wire::Placed& placed : placement->placed()) before_[placed.path()] = placed;
      folders_ = {placement->folders().begin(), placement->folders().end()};
    } else if (placement.error().errnum != ENOENT) {
      return placement.error();
    }
    const auto left = load_list(place_.left);
    if (!left.ok()) return left.error().errnum == ENOENT ? Status() : left.error();
    for (const wire::Entry& entry : left->entries()) left_[entry.path()] = entry;
    return {};
  }

  std::string checksum() const {
    const std::string bytes = list_.SerializeAsString();
    const image::Hash128 hash = image::hash128(std::as_bytes(std::span(bytes)));
    return {reinterpret_cast<const char*>(&hash), sizeof hash};
  }

  Status save(const std::string& staged) const {
    wire::Placement placement;
    placement.set_staged(staged);
    for (const auto& [path, placed] : next_) *placement.add_placed() = placed;
    for (const std::string& folder : folders_) placement.add_folders(folder);
    return save_placement(place_.record, placement);
  }

  // It and those above that are missing.
  Status want_folder(const std::string& path) {
    struct stat status {};
    for (std::string folder = path; !folders_.contains(folder); folder = folder_of(folder)) {
      if (::stat(folder.c_str(), &status) == 0) {
        if (S_ISDIR(status.st_mode)) break;
        return in_the_way(folder, "is there already, and is no folder");
      }
      if (errno != ENOENT) return cannot_make(folder);
      if (::lstat(folder.c_str(), &status) == 0)
        return in_the_way(folder, "is there already, and leads nowhere");
      folders_.insert(folder);
    }
    return {};
  }

  // The temporary names of a path.
  void name(wire::Placed& placed, bool comes) const {
    const image::Hash128 hash = image::hash128(std::as_bytes(std::span(placed.path())));
    std::array<char, 17> digits;
    std::snprintf(digits.data(), digits.size(), "%016lx", hash.low);
    const std::string beside = folder_of(placed.path()) + "/" + std::string(kTemporaryPrefix) +
                               place_.tag + "-" + digits.data();
    if (comes) placed.set_temporary(beside);
    if (placed.has_here()) placed.set_old(beside + ".old");
  }

  Status decide(const wire::Entry& entry) {
    const std::string path = mapped(place_.maps, entry.path());
    wire::Placed placed;
    placed.set_path(path);
    placed.set_kind(entry.kind());
    if (entry.kind() == wire::DIRECTORY) {
      CK_TRY(want_folder(path));
      placed.set_mode(entry.mode());
      placed.set_mtime_ns(entry.mtime_ns());
      if (folders_.contains(path)) next_[path] = placed;
      return {};
    }
    if (entry.kind() == wire::REGULAR && entry.object() == 0) return keep(entry, path);
    CK_TRY(want_folder(folder_of(path)));
    struct stat now {};
    if (::lstat(path.c_str(), &now) != 0) {
      if (errno != ENOENT) return cannot_make(path);
    } else {
      *placed.mutable_here() = identity_of(now);
      const bool equal = CK_TRY(is_equal(entry, path, now));
      const bool left = is_left(path, placed.here());
      if (!equal && !left && !was_equal(path, placed.here()))
        return in_the_way(path, "is there already, and is not as the job has it");
      if (equal && (!left || entry.mtime_ns() == placed.here().mtime_ns())) {
        next_[path] = placed;
        return {};
      }
    }
    name(placed, true);
    next_[path] = placed;
    return {};
  }

  // As it was in the former bundle.
  Status keep(const wire::Entry& entry, const std::string& path) {
    const auto found = before_.find(path);
    if (found == before_.end() || found->second.gone() || found->second.kind() != wire::REGULAR)
      return make_error(ErrorKind::kRefused, "a peer has not sent the content of " + path);
    const bool staged = !found->second.temporary().empty();
    struct stat now {};
    const std::string& where = staged ? found->second.temporary() : path;
    if (::lstat(where.c_str(), &now) != 0) return sys_error("look at " + where);
    if (static_cast<std::uint64_t>(now.st_size) != entry.size())
      return in_the_way(where, "was changed here meanwhile");
    next_[path] = found->second;
    return {};
  }

  // By the job itself, and nobody has changed it.
  bool is_left(const std::string& path, const wire::Identity& now) const {
    const auto left = left_.find(path);
    return left != left_.end() && same(left->second.identity(), now);
  }

  // When the job's files came first, it was as the job had it.
  bool was_equal(const std::string& path, const wire::Identity& now) const {
    const auto before = before_.find(path);
    return before != before_.end() && before->second.has_here() && same(before->second.here(), now);
  }

  Result<bool> is_equal(const wire::Entry& entry, const std::string& path,
                        const struct stat& now) const {
    if (entry.kind() == wire::FIFO) return S_ISFIFO(now.st_mode);
    if (entry.kind() == wire::SYMLINK) {
      std::array<char, PATH_MAX> target;
      const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
      return size > 0 &&
             std::string_view(target.data(), static_cast<std::size_t>(size)) == entry.target();
    }
    if (!S_ISREG(now.st_mode) || static_cast<std::uint64_t>(now.st_size) != entry.size())
      return false;
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
    if (!fd) return errno == EACCES ? Result<bool>(false) : sys_error("read " + path);
    return contents_.equals(entry.object(), fd.get(), path);
  }

  // The job has removed it since: a program may not find it again, a database least of all.
  Status decide_gone(const std::string& path, const wire::Entry& entry) {
    struct stat now {};
    const bool in_tree = [&] {
      for (const std::string& tree : list_.trees())
        if (is_below(path, mapped(place_.maps, tree))) return true;
      return false;
    }();
    if (!in_tree || entry.kind() == wire::DIRECTORY || next_.contains(path) ||
        ::lstat(path.c_str(), &now) != 0)
      return {};
    wire::Placed placed;
    placed.set_path(path);
    placed.set_kind(entry.kind());
    placed.set_gone(true);
    *placed.mutable_here() = identity_of(now);
    if (!same(placed.here(), entry.identity()))
      return in_the_way(path, "was changed here since the job has left it, and has removed it");
    name(placed, false);
    next_[path] = placed;
    return {};
  }

  Status fill(const wire::Entry& entry) {
    if (entry.kind() == wire::DIRECTORY || (entry.kind() == wire::REGULAR && entry.object() == 0))
      return {};
    const wire::Placed& placed = next_[mapped(place_.maps, entry.path())];
    const std::string& beside = placed.temporary();
    if (beside.empty()) return {};
    if (::unlink(beside.c_str()) != 0 && errno != ENOENT) return sys_error("remove " + beside);
    CK_TRY(make(entry, placed));
    const timespec modified = to_timespec(entry.mtime_ns());
    const timespec times[2] = {modified, modified};
    if (::utimensat(AT_FDCWD, beside.c_str(), times, AT_SYMLINK_NOFOLLOW) == 0) return {};
    return cannot_make(placed.path());
  }

  Status make(const wire::Entry& entry, const wire::Placed& placed) const {
    const char* const beside = placed.temporary().c_str();
    if (entry.kind() == wire::SYMLINK) {
      if (::symlink(entry.target().c_str(), beside) != 0) return cannot_make(placed.path());
      return {};
    }
    if (entry.kind() == wire::REGULAR) {
      const UniqueFd fd(::open(beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600));
      if (!fd) return cannot_make(placed.path());
      CK_TRY(contents_.write(entry.object(), fd.get(), placed.path()));
    } else if (::mkfifo(beside, 0600) != 0) {
      return cannot_make(placed.path());
    }
    if (::chmod(beside, entry.mode()) != 0) return cannot_make(placed.path());
    return {};
  }

  const Place& place_;
  wire::List list_;
  Contents contents_;
  bool staged_ = false;
  std::map<std::string, wire::Placed> before_, next_;  // by path here
  std::map<std::string, wire::Entry> left_;
  std::set<std::string> folders_;  // to be made, those above first
};

}  // namespace

Status stage(const image::Reader& bundle, const Place& place) {
  return Staging(bundle, place, CK_TRY(read_list(bundle))).run();
}

}  // namespace ck::driver::files
