// Regular files by path and position.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/base/timespec.h"
#include "runtime/memory/posix_shared_memory.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/kernel_file.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

using image::ObjectRecord;

bool recognises(const CaptureSession&, const OpenFile& file) {
  const std::string& path = file.entry.target;
  if (!S_ISREG(file.status.st_mode) || file.status.st_nlink == 0 || !path.starts_with('/'))
    return false;
  // A /proc of the job's own pid namespace is not the one that is mounted here.
  if (is_kernel_file(file)) return true;
  struct stat found {};
  return path.find("/.nfs0") == path.npos && ::stat(path.c_str(), &found) == 0 &&
         found.st_dev == file.status.st_dev && found.st_ino == file.status.st_ino;
}

// A restart opens it by its path again.
Status check_openable(const OpenFile& file, const ObjectRecord& object) {
  if (object.kind() != ObjectRecord::PATH || (file.entry.info.flags & O_PATH) != 0) return {};
  const int mode = (file.reads() ? R_OK : 0) | (file.writes() ? W_OK : 0);
  if (::faccessat(AT_FDCWD, object.path().c_str(), mode, AT_EACCESS) == 0) return {};
  const Error error = sys_error("it could not be opened again");
  struct stat about {};
  const bool own = ::stat(object.path().c_str(), &about) == 0 && about.st_uid == ::geteuid();
  if (own && S_ISREG(about.st_mode) && error.errnum == EACCES)
    return {};  // RestoreSession::open_there
  return error;
}

// Of the system or, with cgroup2, of a cgroup. Whether a trigger was written there nobody can tell
// (Documentation/accounting/psi.rst).
bool may_have_pressure_trigger(const OpenFile& file) {
  const std::string& path = file.entry.target;
  const bool of_cgroup = path.starts_with("/sys/fs/cgroup/") && path.ends_with(".pressure");
  return file.writes() && (path.starts_with("/proc/pressure/") || of_cgroup);
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  if (may_have_pressure_trigger(file))
    return make_error(ErrorKind::kRefused, "it may have a trigger of pressure, which is not kept");
  if (is_kernel_file(file)) {
    record.set_state(CK_TRY(kernel_file_name(session, file)));
    return {};
  }
  record.set_object(
      CK_TRY(session.objects.add_file(file.status, file.duplicate.get(), file.entry.target)));
  if (session.survey) CK_TRY(check_openable(file, session.objects.record(record.object())));
  if (file.writes() && memory::is_posix_shared_memory(file.entry.target))
    return session.objects.keep_content(record.object());
  return {};
}

std::string bytes_text(std::uint64_t bytes) {
  return std::to_string(bytes) + " bytes";
}

// The file has grown since the checkpoint: the program, resumed, may write the same once more.
Status handle_growth(RestoreSession& session, int fd, bool writable, const struct stat& now,
                     const ObjectRecord& object) {
  std::string text = "file " + object.path() + " has grown from " + bytes_text(object.size()) +
                     " to " + bytes_text(static_cast<std::uint64_t>(now.st_size)) +
                     " since the checkpoint";
  if (!writable) {
    session.warn(text);
  } else if (session.context.rollback_files) {
    CK_TRY(session.box().call("truncate " + object.path(), SYS_ftruncate, fd, object.size()));
    session.warn(text + "; truncated back");
  } else {
    session.warn(text + "; left as it is (--rollback-files truncates it)");
  }
  return {};
}

Status compare(RestoreSession& session, const image::OpenFileRecord& record, int fd,
               const struct stat& now, const ObjectRecord& object) {
  auto size = static_cast<std::uint64_t>(now.st_size);
  if (!S_ISREG(now.st_mode)) {
    return make_error(ErrorKind::kRefused, object.path() + " is no regular file any more");
  }
  if (size < object.size()) {
    return make_error(ErrorKind::kRefused,
                      "file " + object.path() + " is shorter than at the checkpoint: " +
                          bytes_text(size) + " instead of " + bytes_text(object.size()),
                      "put back the file as it was");
  }
  bool writable = (record.flags() & O_ACCMODE) != O_RDONLY;
  if (size > object.size()) return handle_growth(session, fd, writable, now, object);
  if (to_nanoseconds(now.st_mtim) != object.mtime_ns()) {
    session.warn("file " + object.path() + " was changed since the checkpoint");
  }
  return {};
}

// Once for each file, but by a writer first if there is one: only it can truncate.
bool should_compare(RestoreSession& session, const image::OpenFileRecord& record) {
  auto& checked = session.checked_objects;
  if (std::count(checked.begin(), checked.end(), record.object()) != 0) return false;
  if ((record.flags() & O_ACCMODE) == O_RDONLY) {
    for (const auto& other : session.manifest.open_files()) {
      if (other.object() == record.object() && (other.flags() & O_ACCMODE) != O_RDONLY)
        return false;
    }
  }
  checked.push_back(record.object());
  return true;
}

Status check_content(RestoreSession& session, const image::OpenFileRecord& record, int fd) {
  if (record.object() == 0 || !should_compare(session, record)) return {};
  proc::Mailbox& box = session.box();
  auto buffer = box.reserve(sizeof(struct stat));
  CK_TRY(box.call("examine " + record.name(), SYS_fstat, fd, buffer));
  auto now = box.value_at<struct stat>(buffer);
  return compare(session, record, fd, now,
                 session.manifest.objects(static_cast<int>(record.object()) - 1));
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  const std::string path =
      record.object() != 0 ? session.manifest.objects(static_cast<int>(record.object()) - 1).path()
                           : kernel_file_path(record.state(), session.box().area());
  int fd = CK_TRY(session.open_there(path, record.flags()));
  CK_TRY(check_content(session, record, fd));
  CK_TRY(session.box().call("set the position of " + path, SYS_lseek, fd, record.position(),
                            SEEK_SET));
  return Restored::in_process(fd);
}

}  // namespace

const Kind kRegularFile = {"regular", recognises, capture, restore};

}  // namespace ck::resources
