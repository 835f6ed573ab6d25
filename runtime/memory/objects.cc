#include "runtime/memory/objects.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <numeric>

#include "runtime/base/timespec.h"
#include "runtime/memory/file_content.h"
#include "runtime/memory/read_memory.h"

#ifndef HUGETLBFS_MAGIC
#define HUGETLBFS_MAGIC 0x958458f6
#endif

namespace ck::memory {
namespace {

using image::ObjectRecord;

constexpr std::uint64_t kInMemoryLimit = 8 << 20;
constexpr std::string_view kDeleted = " (deleted)";

// With errno.
bool leads_to(const std::string& path, dev_t device, ino_t inode) {
  struct stat found {};
  errno = 0;
  return ::stat(path.c_str(), &found) == 0 && found.st_dev == device && found.st_ino == inode;
}

// NFS keeps a file that was unlinked while open under such a name, until it is closed.
bool is_nfs_leftover(std::string_view path) {
  std::size_t slash = path.rfind('/');
  return path.substr(slash == path.npos ? 0 : slash + 1).starts_with(".nfs0");
}

ObjectRecord describe(const struct stat& status, const std::string& path) {
  ObjectRecord record;
  record.set_path(path);
  record.set_size(static_cast<std::uint64_t>(status.st_size));
  record.set_mtime_ns(to_nanoseconds(status.st_mtim));
  record.set_device(status.st_dev);
  record.set_inode(status.st_ino);
  record.set_mode(status.st_mode);
  record.set_uid(status.st_uid);
  record.set_gid(status.st_gid);
  return record;
}

Status describe_memfd(int fd, const struct stat& status, ObjectRecord& record) {
  record.set_kind(ObjectRecord::MEMFD);
  record.set_path(record.path().substr(std::string_view("/memfd:").size()));
  if (fd < 0) return {};
  int seals = ::fcntl(fd, F_GET_SEALS);
  if (seals < 0) return sys_error("get the seals of memfd " + record.path());
  record.set_seals(static_cast<unsigned>(seals));
  struct statfs system {};
  if (::fstatfs(fd, &system) == 0 && system.f_type == HUGETLBFS_MAGIC) {
    auto log2 =
        static_cast<unsigned>(__builtin_ctzl(static_cast<unsigned long>(status.st_blksize)));
    // MFD_HUGE_SHIFT is 26.
    record.set_memfd_flags(MFD_HUGETLB | log2 << 26);
  }
  return {};
}

// Their ids are inode numbers of the file system that memfds have too, and given independently.
ObjectTable::Key system_v_key(int id) {
  return {~dev_t{0}, static_cast<ino_t>(id)};
}

bool cannot_change(const ObjectRecord& record) {
  return (record.seals() & F_SEAL_WRITE) != 0 && (record.seals() & F_SEAL_GROW) != 0;
}

}  // namespace

ObjectTable::ObjectTable(Purpose purpose, image::Manifest& manifest, std::string spool)
    : purpose_(purpose), spool_(std::move(spool)), manifest_(manifest) {
  for (int i = 0; i < manifest.objects_size(); ++i) {
    index_of_[{manifest.objects(i).device(), manifest.objects(i).inode()}] =
        static_cast<std::uint32_t>(i) + 1;
  }
}

std::uint32_t ObjectTable::find(dev_t device, ino_t inode) const {
  auto found = index_of_.find({device, inode});
  return found == index_of_.end() ? 0 : found->second;
}

std::uint32_t ObjectTable::append(Key key, ObjectRecord record) {
  *manifest_.add_objects() = std::move(record);
  auto index = static_cast<std::uint32_t>(manifest_.objects_size());
  index_of_[key] = index;
  return index;
}

Result<std::uint32_t> ObjectTable::add_file(const struct stat& status, int fd,
                                            std::string_view shown) {
  if (std::uint32_t known = find(status.st_dev, status.st_ino)) return known;
  std::string path(shown);
  bool reachable = leads_to(path, status.st_dev, status.st_ino) && !is_nfs_leftover(path);
  const bool hidden = !reachable && errno == EACCES;
  bool deleted = !reachable && path.ends_with(kDeleted);
  if (deleted) path.resize(path.size() - kDeleted.size());
  if (hidden && !deleted)
    return make_error(ErrorKind::kRefused, path + " is in a folder that may not be searched",
                      "a restart could not open it; whoever started the job opened it for it");
  ObjectRecord record = describe(status, path);
  if (S_ISDIR(status.st_mode)) {
    record.set_kind(ObjectRecord::DIRECTORY);
    if (!reachable) return make_error(ErrorKind::kRefused, "directory " + path + " was removed");
  } else if (reachable) {
    record.set_kind(ObjectRecord::PATH);
  } else if (path.starts_with("/memfd:")) {
    CK_TRY(describe_memfd(fd, status, record));
  } else if (deleted && status.st_nlink != 0) {
    return make_error(ErrorKind::kRefused,
                      "file " + path +
                          " was removed there, but has other names (hard links); a "
                          "restart would give the job a copy of its own",
                      "remove those, or close the file");
  } else if (deleted || is_nfs_leftover(path)) {
    record.set_kind(ObjectRecord::SAVED);
  } else {
    return make_error(ErrorKind::kRefused, "path " + path + " does not lead to the open file",
                      "something else is mounted there, or it belongs to another mount namespace");
  }
  std::uint32_t index = append({status.st_dev, status.st_ino}, std::move(record));
  if (!reachable) CK_TRY(freeze_file(index, fd));
  return index;
}

Result<std::uint32_t> ObjectTable::add_path(dev_t device, ino_t inode, const std::string& path) {
  if (std::uint32_t known = find(device, inode)) return known;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return sys_error("examine mapped file " + path);
  if (status.st_ino != inode) {
    return make_error(ErrorKind::kRefused, "path " + path + " does not lead to the mapped file");
  }
  // Some file systems (btrfs, overlayfs) show another device number in a list of mappings.
  std::uint32_t index = find(status.st_dev, inode);
  if (index == 0) {
    ObjectRecord record = describe(status, path);
    record.set_kind(ObjectRecord::PATH);
    index = append({status.st_dev, inode}, std::move(record));
  }
  index_of_[{device, inode}] = index;
  return index;
}

std::uint32_t ObjectTable::add_shared_memory(dev_t device, ino_t inode, std::uint64_t size) {
  if (std::uint32_t known = find(device, inode)) return known;
  ObjectRecord record;
  record.set_kind(ObjectRecord::SHARED_MEMORY);
  record.set_device(device);
  record.set_inode(inode);
  record.set_size(size);
  return append({device, inode}, std::move(record));
}

std::uint32_t ObjectTable::add_system_v(int id, std::uint64_t size) {
  if (std::uint32_t known = find_system_v(id)) return known;
  ObjectRecord record;
  record.set_kind(ObjectRecord::SYSTEM_V);
  record.set_inode(static_cast<std::uint64_t>(id));
  record.set_size(size);
  return append(system_v_key(id), std::move(record));
}

std::uint32_t ObjectTable::find_system_v(int id) const {
  const auto [device, inode] = system_v_key(id);
  return find(device, inode);
}

Result<UniqueFd> ObjectTable::new_copy(std::uint64_t bytes, std::uint64_t size) {
  UniqueFd copy;
  if (in_memory_ + bytes <= kInMemoryLimit) {
    copy.reset(::memfd_create("ckrun-content", MFD_CLOEXEC));
    in_memory_ += bytes;
  } else {
    copy.reset(::open(spool_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  }
  if (!copy || ::ftruncate(copy.get(), static_cast<off_t>(size)) != 0) {
    return sys_error("create a file in " + spool_ + " for a copy of file content");
  }
  return copy;
}

void ObjectTable::keep(std::uint32_t index, UniqueFd content, std::vector<image::Run> runs) {
  record(index).set_has_content(true);
  auto source = std::make_unique<FileSource>(content.get(), record(index).path());
  contents_[index] = {std::move(content), std::move(runs), std::move(source)};
}

namespace {
std::uint64_t total(const std::vector<image::Run>& runs) {
  return std::accumulate(runs.begin(), runs.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const image::Run& run) { return sum + run.length; });
}

// A descriptor to read by: the program's own may be open for writing only.
Result<UniqueFd> reopen(int fd, const std::string& name) {
  std::string path = "/proc/self/fd/" + std::to_string(fd);
  UniqueFd reader(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!reader && (::fcntl(fd, F_GETFL) & O_ACCMODE) != O_WRONLY) {
    reader.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));  // its mode no longer allows another open
  }
  if (!reader) return sys_error("open unlinked file " + name + " for reading");
  return reader;
}
}  // namespace

Status ObjectTable::freeze_file(std::uint32_t index, int fd) {
  if (purpose_ == Purpose::kSurvey) return {};
  const ObjectRecord& record = this->record(index);
  UniqueFd reader = CK_TRY(reopen(fd, record.path()));
  std::vector<image::Run> runs = CK_TRY(data_runs(reader.get(), record.size()));
  if (purpose_ == Purpose::kEnded || cannot_change(record)) {
    keep(index, std::move(reader), std::move(runs));
    return {};
  }
  UniqueFd copy = CK_TRY(new_copy(total(runs), record.size()));
  CK_TRY(copy_runs(reader.get(), copy.get(), runs));
  keep(index, std::move(copy), std::move(runs));
  return {};
}

Status ObjectTable::keep_content(std::uint32_t index) {
  if (purpose_ == Purpose::kSurvey || contents_.contains(index)) return {};
  UniqueFd fd(::open(record(index).path().c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd) return sys_error("open " + record(index).path());
  return freeze_file(index, fd.get());
}

Status ObjectTable::freeze_content(std::uint32_t index, const image::ByteSource& source,
                                   const std::vector<image::Run>& runs) {
  if (purpose_ == Purpose::kSurvey) return {};
  UniqueFd copy = CK_TRY(new_copy(total(runs), record(index).size()));
  CK_TRY(copy_runs(source, copy.get(), runs));
  keep(index, std::move(copy), runs);
  return {};
}

std::uint64_t ObjectTable::content_bytes() const {
  std::uint64_t sum = 0;
  for (const auto& [index, content] : contents_) sum += total(content.runs);
  return sum;
}

Status ObjectTable::write_contents(image::Writer& writer) const {
  for (const auto& [index, content] : contents_) {
    ChunkFeeder feeder(writer, {image::StreamId::Kind::kObject, index - 1}, *content.source);
    for (const image::Run& run : content.runs)
      CK_TRY(feeder.add(run.begin, run.begin + run.length));
    CK_TRY(feeder.flush());
  }
  return {};
}

}  // namespace ck::memory
