// Descriptors opened with O_PATH: a name held on to, of a file of any type.
#include <fcntl.h>

#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

bool recognises(const CaptureSession&, const OpenFile& file) {
  return (file.entry.info.flags & O_PATH) != 0;
}

Status capture(CaptureSession&, OpenFile& file, image::OpenFileRecord&) {
  struct stat found {};
  const std::string& path = file.entry.target;
  if (path.starts_with('/') && ::lstat(path.c_str(), &found) == 0 &&
      found.st_ino == file.status.st_ino && found.st_dev == file.status.st_dev) {
    return {};
  }
  return make_error(ErrorKind::kRefused, "its path no longer leads to what was opened");
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  return Restored::in_process(CK_TRY(session.open_there(record.name(), record.flags())));
}

}  // namespace

const Kind kPathHandle = {"path", recognises, capture, restore};

}  // namespace ck::resources
