#include "runtime/resources/locks.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>

#include "runtime/resources/message_queue.h"

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

void capture_locks(const CaptureSession& session) {
  for (const CaptureSession::Lock& held : session.locks) {
    FileLockRecord& record = *session.processes[held.holder.process].record->add_locks();
    record.set_kind(kind_of(held.lock.kind));
    record.set_exclusive(held.lock.exclusive);
    record.set_start(held.lock.start);
    record.set_length(held.lock.length);
    record.set_fd(held.holder.fd);
    if (held.lock.kind != FileLock::Kind::kPosix)
      record.set_open_file(session.files[held.file].index);
  }
}

namespace {

Status restore_process_locks(const RestoreContext& context, const RestoreProcess& process,
                             const image::Manifest& manifest) {
  for (const FileLockRecord& lock : process.record->locks()) {
    std::string what = lock_text(manifest, *process.record, lock);
    Result<std::int64_t> taken = take(*process.mailbox, "take the " + what, lock);
    if (taken.ok()) continue;
    // A lease that was just being broken, or that would have been by now: its holder was to give
    // it up anyway.
    if (taken.error().errnum == EAGAIN && lock.kind() == FileLockRecord::LEASE) {
      if (context.warnings != nullptr)
        context.warnings->push_back("the " + what + " is gone: it was being broken, or is now");
      continue;
    }
    if (taken.error().errnum == EAGAIN || taken.error().errnum == EACCES) {
      return make_error(ErrorKind::kRefused,
                        "cannot take the " + what + " again: another process holds it",
                        "end that process (lslocks shows it) and try again");
    }
    return std::move(taken).error();
  }
  return {};
}

}  // namespace

Status restore_locks(const RestoreContext& context, const image::Manifest& manifest) {
  for (const RestoreProcess& process : context.processes)
    CK_TRY(restore_process_locks(context, process, manifest));
  return restore_queue_registrations(context, manifest);
}

}  // namespace ck::resources
