// Files whose content only the image has: unlinked or never linked files, memfds.
#include <fcntl.h>
#include <unistd.h>

#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

bool recognises(const CaptureSession&, const OpenFile& file) {
  return S_ISREG(file.status.st_mode) && file.entry.target.starts_with('/') &&
         !file.entry.target.starts_with("/secretmem") && !file.entry.target.starts_with("/[aio]");
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  record.set_object(
      CK_TRY(session.objects.add_file(file.status, file.duplicate.get(), file.entry.target)));
  return {};
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  constexpr std::uint32_t kMeaningless = O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_TMPFILE;
  int content = record.object() != 0 ? session.context.objects->fd(record.object()) : -1;
  if (content < 0)
    return make_error(ErrorKind::kBadImage, record.name() + " has no content in the image");
  std::string path = "/proc/self/fd/" + std::to_string(content);
  UniqueFd fd(::open(path.c_str(), static_cast<int>(record.flags() & ~kMeaningless) | O_CLOEXEC));
  if (!fd) return sys_error("open the restored " + record.name());
  if (::lseek(fd.get(), record.position(), SEEK_SET) < 0)
    return sys_error("set the position of " + record.name());
  return Restored(std::move(fd));
}

}  // namespace

const Kind kSavedFile = {"saved", recognises, capture, restore};

}  // namespace ck::resources
