#include "runtime/image/temporary_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>

namespace ck::image {

namespace {

constexpr mode_t kMode = 0600;
constexpr int kNameAttempts = 100;

// Whatever the reason is: it concerns the writing of an image.
Error cannot_write(const std::string& path, const char* step, int errnum) {
  Error error = sys_error("cannot write " + path + ": " + step, errnum);
  if (error.kind == ErrorKind::kSystem) error.kind = ErrorKind::kCannotWrite;
  return error;
}

Error name_taken(const std::string& path) {
  return make_error(ErrorKind::kCannotWrite, "cannot write " + path + ": it already exists",
                    "another checkpoint of this job may have written it");
}

std::string random_name() {
  constexpr char kLetters[] = "abcdefghijklmnopqrstuvwxyz012345";
  unsigned char random[6] = {};
  if (::getrandom(random, sizeof random, 0) != sizeof random) {
    random[0] = static_cast<unsigned char>(::getpid());
  }
  std::string name = kTemporaryPrefix;
  for (unsigned char byte : random) name += kLetters[byte % 32];
  return name + kTemporarySuffix;
}

}  // namespace

Result<TemporaryFile> TemporaryFile::create(const std::string& final_path, Way way) {
  TemporaryFile file;
  file.final_path_ = final_path;
  const std::size_t slash = final_path.rfind('/');
  file.final_name_ = slash == std::string::npos ? final_path : final_path.substr(slash + 1);
  std::string folder = slash == std::string::npos ? "." : final_path.substr(0, slash + 1);
  file.folder_.reset(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!file.folder_) return cannot_write(final_path, "open its folder", errno);
  if (way == Way::kNamed || !file.open_unnamed().ok()) CK_TRY(file.open_named());
  // A default ACL or a network file system may have changed what open() asked for.
  if (::fchmod(file.fd(), kMode) != 0) return cannot_write(final_path, "set its mode", errno);
  return file;
}

TemporaryFile::~TemporaryFile() {
  if (!temporary_name_.empty()) ::unlinkat(folder_.get(), temporary_name_.c_str(), 0);
}

Status TemporaryFile::open_unnamed() {
  // Without /proc the file could not be named later.
  if (::access("/proc/self/fd", X_OK) != 0) return sys_error("access /proc/self/fd");
  fd_.reset(::openat(folder_.get(), ".", O_TMPFILE | O_RDWR | O_CLOEXEC, kMode));
  if (!fd_) return sys_error("open " + final_path_);
  return {};
}

Status TemporaryFile::open_named() {
  for (int attempt = 0; attempt < kNameAttempts; ++attempt) {
    std::string name = random_name();
    fd_.reset(::openat(folder_.get(), name.c_str(),
                       O_CREAT | O_EXCL | O_RDWR | O_NOFOLLOW | O_CLOEXEC, kMode));
    if (fd_) {
      ::flock(fd_.get(), LOCK_EX | LOCK_NB);  // where locks are not supported, the age must do
      temporary_name_ = std::move(name);
      return {};
    }
    if (errno != EEXIST) return cannot_write(final_path_, "create a temporary file", errno);
  }
  return cannot_write(final_path_, "create a temporary file", EEXIST);
}

Status TemporaryFile::sync() {
  if (::fsync(fd_.get()) != 0) return cannot_write(final_path_, "fsync", errno);
  return {};
}

Status TemporaryFile::give_name() {
  char link[32];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", fd_.get());
  if (::linkat(AT_FDCWD, link, folder_.get(), final_name_.c_str(), AT_SYMLINK_FOLLOW) == 0)
    return {};
  if (errno == EEXIST) return name_taken(final_path_);
  return cannot_write(final_path_, "link it to its name", errno);
}

Status TemporaryFile::rename_named() {
  const char* from = temporary_name_.c_str();
  const char* to = final_name_.c_str();
  int failed = ::renameat2(folder_.get(), from, folder_.get(), to, RENAME_NOREPLACE);
  if (failed != 0 && (errno == EINVAL || errno == ENOSYS)) {  // NFS and others know only link
    failed = ::linkat(folder_.get(), from, folder_.get(), to, 0);
    if (failed == 0) ::unlinkat(folder_.get(), from, 0);
  }
  if (failed == 0) {
    temporary_name_.clear();
    return {};
  }
  if (errno == EEXIST) return name_taken(final_path_);
  return cannot_write(final_path_, "rename it to its name", errno);
}

Status TemporaryFile::publish() {
  CK_TRY(temporary_name_.empty() ? give_name() : rename_named());
  // Some network file systems cannot sync a folder, and need not.
  if (::fsync(folder_.get()) != 0 && errno != EINVAL) {
    Error error = cannot_write(final_path_, "fsync its folder", errno);
    ::unlinkat(folder_.get(), final_name_.c_str(), 0);
    return error;
  }
  return {};
}

}  // namespace ck::image
