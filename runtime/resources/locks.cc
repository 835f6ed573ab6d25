#include "runtime/resources/locks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>

namespace ck::resources {
namespace {

using image::FileLockRecord;
using proc::FileLock;

FileLockRecord::Kind kind_of(FileLock::Kind kind) {
  switch (kind) {
    case FileLock::Kind::kPosix:
      return FileLockRecord::POSIX;
    case FileLock::Kind::kOfd:
      return FileLockRecord::OFD;
    case FileLock::Kind::kFlock:
      return FileLockRecord::FLOCK;
    case FileLock::Kind::kLease:
      return FileLockRecord::LEASE;
  }
  return FileLockRecord::POSIX;
}

const image::OpenFileRecord* file_of(const image::Manifest& manifest,
                                     const image::ProcessRecord& process, int fd) {
  for (const image::DescriptorRecord& descriptor : process.descriptors()) {
    if (descriptor.fd() == fd)
      return &manifest.open_files(static_cast<int>(descriptor.open_file()) - 1);
  }
  return nullptr;
}

std::string lock_text(const image::Manifest& manifest, const image::ProcessRecord& process,
                      const FileLockRecord& lock) {
  const image::OpenFileRecord* file = file_of(manifest, process, lock.fd());
  return std::string(lock.kind() == FileLockRecord::LEASE ? "lease on " : "lock on ") +
         (file != nullptr ? file->name() : "a file");
}

Result<std::int64_t> take(proc::Mailbox& box, const std::string& what, const FileLockRecord& lock) {
  switch (lock.kind()) {
    case FileLockRecord::FLOCK:
      return box.call(what, SYS_flock, lock.fd(), (lock.exclusive() ? LOCK_EX : LOCK_SH) | LOCK_NB);
    case FileLockRecord::LEASE:
      return box.call(what, SYS_fcntl, lock.fd(), F_SETLEASE, lock.exclusive() ? F_WRLCK : F_RDLCK);
    default:
      break;
  }
  struct flock range {};
  range.l_type = lock.exclusive() ? F_WRLCK : F_RDLCK;
  range.l_whence = SEEK_SET;
  range.l_start = static_cast<off_t>(lock.start());
  range.l_len = static_cast<off_t>(lock.length());
  auto address = box.put_value(range);
  bool ofd = lock.kind() == FileLockRecord::OFD;
  return box.call(what, SYS_fcntl, lock.fd(), ofd ? F_OFD_SETLK : F_SETLK, address);
}

}  // namespace

// fdinfo shows a lock at the open file through which it was taken, a POSIX lock too: closing that
// would have dropped it.
Status capture_locks(const CaptureSession& session, image::ProcessRecord& process) {
  for (const OpenFile& file : session.files) {
    for (const FileLock& lock : file.entry.info.locks) {
      FileLockRecord& record = *process.add_locks();
      record.set_kind(kind_of(lock.kind));
      record.set_exclusive(lock.exclusive);
      record.set_start(lock.start);
      record.set_length(lock.length);
      record.set_fd(file.entry.fd);
      if (lock.kind != FileLock::Kind::kPosix) record.set_open_file(file.index);
    }
  }
  return {};
}

Status restore_locks(const RestoreContext& context, const image::Manifest& manifest,
                     const image::ProcessRecord& process) {
  for (const FileLockRecord& lock : process.locks()) {
    std::string what = lock_text(manifest, process, lock);
    Result<std::int64_t> taken = take(*context.mailbox, "take the " + what, lock);
    if (taken.ok()) continue;
    if (taken.error().errnum == EAGAIN || taken.error().errnum == EACCES) {
      return make_error(ErrorKind::kRefused,
                        "cannot take the " + what + " again: another process holds it",
                        "end that process (lslocks shows it) and try again");
    }
    return std::move(taken).error();
  }
  return {};
}

}  // namespace ck::resources
