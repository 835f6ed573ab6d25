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

// The one that O_TMPFILE made: F_GETFL shows that flag, and no later open of the file can have it.
bool is_first_open_file(const image::OpenFileRecord& record) {
  return (record.flags() & O_TMPFILE) == O_TMPFILE && (record.flags() & O_ACCMODE) == O_RDWR;
}

// RestoredObjects made its own in the same way (memory/restored_objects.cc). It writes with pwrite
// alone, so the position is the program's.
Result<UniqueFd> first_open_file(const image::OpenFileRecord& record, int content) {
  constexpr std::uint32_t kChangeable = O_APPEND | O_DIRECT | O_NOATIME | O_NONBLOCK;
  UniqueFd fd(::fcntl(content, F_DUPFD_CLOEXEC, 0));
  if (!fd || ::fcntl(fd.get(), F_SETFL, record.flags() & kChangeable) != 0)
    return sys_error("set the flags of " + record.name());
  return fd;
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  constexpr std::uint32_t kMeaningless = O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_TMPFILE;
  int content = record.object() != 0 ? session.context.objects->fd(record.object()) : -1;
  if (content < 0)
    return make_error(ErrorKind::kBadImage, record.name() + " has no content in the image");
  UniqueFd fd =
      is_first_open_file(record)
          ? CK_TRY(first_open_file(record, content))
          : UniqueFd(::open(("/proc/self/fd/" + std::to_string(content)).c_str(),
                            static_cast<int>(record.flags() & ~kMeaningless) | O_CLOEXEC));
  if (!fd) return sys_error("open the restored " + record.name());
  if (::lseek(fd.get(), record.position(), SEEK_SET) < 0)
    return sys_error("set the position of " + record.name());
  return Restored(std::move(fd));
}

}  // namespace

const Kind kSavedFile = {"saved", recognises, capture, restore};

}  // namespace ck::resources
