// Directories, with the position of a half-read listing (a cookie of the file system's).
#include <fcntl.h>
#include <sys/syscall.h>

#include "runtime/resources/capture.h"
#include "runtime/resources/kernel_file.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

bool recognises(const CaptureSession&, const OpenFile& file) {
  return S_ISDIR(file.status.st_mode);
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  if (is_kernel_file(file)) {
    record.set_state(CK_TRY(kernel_file_name(session, file)));
    return {};
  }
  record.set_object(
      CK_TRY(session.objects.add_file(file.status, file.duplicate.get(), file.entry.target)));
  return {};
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  const std::string path = record.state().empty()
                               ? record.name()
                               : kernel_file_path(record.state(), session.box().area());
  int fd = CK_TRY(session.open_there(path, record.flags() | O_DIRECTORY));
  if (record.position() != 0) {
    CK_TRY(session.box().call("set the position of directory " + path, SYS_lseek, fd,
                              record.position(), SEEK_SET));
  }
  return Restored::in_process(fd);
}

}  // namespace

const Kind kDirectory = {"directory", recognises, capture, restore};

}  // namespace ck::resources
