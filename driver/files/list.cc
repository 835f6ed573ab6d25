#include "driver/files/list.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>

#include "driver/files/compare.h"
#include "runtime/base/path_map.h"
#include "runtime/base/timespec.h"
#include "runtime/image/format.h"
#include "runtime/job/small_file.h"

namespace ck::driver::files {
namespace {

constexpr std::size_t kLongestList = 128u << 20;
constexpr std::array kOfSystem = {"/usr",    "/bin", "/sbin", "/lib",  "/lib32", "/lib64",
                                  "/libx32", "/etc", "/boot", "/proc", "/sys",   "/dev"};

Error bad(const std::string& what) {
  return make_error(ErrorKind::kRefused, "a peer's list of files is not valid: " + what);
}

// Absolute, and by it alone it is clear what is below what.
bool is_plain(const std::string& path) {
  if (!path.starts_with('/') || path.size() < 2 || path.size() >= PATH_MAX ||
      path.find('\0') != path.npos || path.ends_with('/'))
    return false;
  const std::string closed = path + "/";
  return closed.find("//") == path.npos && closed.find("/./") == path.npos &&
         closed.find("/../") == path.npos;
}

// Of the last object.
Result<std::string> list_bytes(const image::Reader& bundle) {
  const int last = bundle.manifest().objects_size() - 1;
  if (last < 0 || bundle.manifest().objects(last).size() > kLongestList)
    return bad("it is not there, or too long");
  std::string bytes(bundle.manifest().objects(last).size(), '\0');
  CK_TRY(Contents(bundle).read(static_cast<std::uint32_t>(last) + 1,
                               std::as_writable_bytes(std::span(bytes))));
  return bytes;
}

Status check_entry(const wire::Entry& entry, const image::Manifest& manifest) {
  if (!is_plain(entry.path())) return bad("a path is not as it should be");
  if (!wire::Kind_IsValid(entry.kind()) || (entry.mode() & ~01777u) != 0)
    return bad(entry.path() + " is of an unknown kind");
  if (entry.kind() == wire::SYMLINK &&
      (entry.target().empty() || entry.target().size() >= PATH_MAX ||
       entry.target().find('\0') != std::string::npos))
    return bad(entry.path() + " leads nowhere");
  if (entry.object() == 0) return {};
  if (entry.kind() != wire::REGULAR ||
      entry.object() > static_cast<std::uint32_t>(manifest.objects_size()) ||
      manifest.objects(static_cast<int>(entry.object()) - 1).size() != entry.size())
    return bad(entry.path() + " has no content");
  return {};
}

}  // namespace

bool is_kernels(std::string_view path) {
  return is_below(path, "/proc") || is_below(path, "/sys") || is_below(path, "/dev");
}

bool is_own(std::string_view path, const struct stat& status) {
  return status.st_uid == ::geteuid() &&
         std::none_of(kOfSystem.begin(), kOfSystem.end(),
                      [path](const char* folder) { return is_below(path, folder); });
}

wire::Identity identity_of(const struct stat& status) {
  wire::Identity identity;
  identity.set_device(status.st_dev);
  identity.set_inode(status.st_ino);
  identity.set_size(static_cast<std::uint64_t>(status.st_size));
  identity.set_mtime_ns(to_nanoseconds(status.st_mtim));
  identity.set_ctime_ns(to_nanoseconds(status.st_ctim));
  return identity;
}

bool same(const wire::Identity& one, const wire::Identity& other) {
  return one.device() == other.device() && one.inode() == other.inode() &&
         one.size() == other.size() && one.mtime_ns() == other.mtime_ns() &&
         one.ctime_ns() == other.ctime_ns();
}

Result<wire::List> read_list(const image::Reader& bundle) {
  wire::List list;
  const image::Manifest& manifest = bundle.manifest();
  if (!list.ParseFromString(CK_TRY(list_bytes(bundle)))) return bad("it is damaged");
  if (list.entries_size() > kMostFiles) return bad("it is too long");
  std::uint64_t bytes = 0;
  for (int i = 0; i < list.entries_size(); ++i) {
    const wire::Entry& entry = list.entries(i);
    CK_TRY(check_entry(entry, manifest));
    if (i > 0 && list.entries(i - 1).path() >= entry.path()) return bad("it is not in order");
    if (entry.size() > kMostBytes || (bytes += entry.size()) > kMostBytes)
      return bad("they are larger than " + image::human_bytes(kMostBytes));
  }
  for (const std::string& tree : list.trees())
    if (!is_plain(tree)) return bad("a path is not as it should be");
  return list;
}

Result<wire::List> load_list(const std::string& path) {
  wire::List list;
  if (!list.ParseFromString(CK_TRY(job::read_small_file(path, kLongestList))))
    return make_error(ErrorKind::kBadImage, path + " is damaged", "remove it");
  return list;
}

Status save_list(const std::string& path, const wire::List& list) {
  return job::replace_file(path, list.SerializeAsString());
}

}  // namespace ck::driver::files
