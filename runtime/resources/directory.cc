// Directories, with the position of a half-read listing (a cookie of the file system's).
#include <fcntl.h>
#include <sys/syscall.h>

#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

bool recognises(const CaptureSession&, const OpenFile& file) {
  return S_ISDIR(file.status.st_mode);
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  record.set_object(
      CK_TRY(session.objects.add_file(file.status, file.duplicate.get(), file.entry.target)));
  return {};
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  int fd = CK_TRY(session.open_there(record.name(), record.flags() | O_DIRECTORY));
  if (record.position() != 0) {
    CK_TRY(session.box().call("set the position of directory " + record.name(), SYS_lseek, fd,
                              record.position(), SEEK_SET));
  }
  return Restored::in_process(fd);
}

}  // namespace

const Kind kDirectory = {"directory", recognises, capture, restore};

}  // namespace ck::resources
