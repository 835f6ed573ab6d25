// Files whose content only the image has: unlinked or never linked files, memfds.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <string_view>

#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

bool recognises(const CaptureSession&, const OpenFile& file) {
  return S_ISREG(file.status.st_mode) && file.entry.target.starts_with('/') &&
         !file.entry.target.starts_with("/secretmem") && !file.entry.target.starts_with("/[aio]");
}

// Those of the program, and its access list. What security modules note is their own.
bool belongs_to_program(std::string_view name) {
  return name.starts_with("user.") || name.starts_with("trusted.") ||
         name == "system.posix_acl_access";
}

// Of a file that may not be read, extended attributes may not be either; like those that are gone
// meanwhile they are left out.
void read_attributes(int fd, SavedFileState& state) {
  std::string names(XATTR_LIST_MAX, '\0');
  std::string value(XATTR_SIZE_MAX, '\0');
  const ssize_t length = ::flistxattr(fd, names.data(), names.size());
  names.resize(static_cast<std::size_t>(std::max<ssize_t>(length, 0)));
  for (std::size_t at = 0; at < names.size(); at += std::strlen(&names[at]) + 1) {
    const char* name = &names[at];
    if (!belongs_to_program(name)) continue;
    const ssize_t size = ::fgetxattr(fd, name, value.data(), value.size());
    if (size < 0) continue;
    SavedFileState::Attribute& attribute = *state.add_attributes();
    attribute.set_name(name);
    attribute.set_value(value.data(), static_cast<std::size_t>(size));
  }
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  record.set_object(
      CK_TRY(session.objects.add_file(file.status, file.duplicate.get(), file.entry.target)));
  if (session.survey) return {};
  SavedFileState state;
  read_attributes(file.duplicate.get(), state);
  record.set_state(state.SerializeAsString());
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

constexpr mode_t kOpenMode = 0600;  // the program's own may forbid what it has open

void set_attributes(const RestoreSession& session, int fd, const image::OpenFileRecord& record) {
  SavedFileState state;
  if (!state.ParseFromString(record.state())) return;
  for (const SavedFileState::Attribute& attribute : state.attributes())
    if (::fsetxattr(fd, attribute.name().c_str(), attribute.value().data(),
                    attribute.value().size(), 0) != 0)
      session.warn("the extended attribute " + attribute.name() + " of " + record.name() +
                   " cannot be set here: " + std::strerror(errno));
}

void set_owner(const RestoreSession& session, int fd, const image::OpenFileRecord& record,
               const image::ObjectRecord& object) {
  struct stat now {};
  if (::fstat(fd, &now) != 0 || (now.st_uid == object.uid() && now.st_gid == object.gid())) return;
  if (::fchown(fd, object.uid(), object.gid()) != 0)
    session.warn("the owner of " + record.name() + " cannot be set here: " + std::strerror(errno));
}

// The mode last: it may forbid the rest, and a change of owner takes bits of it away.
void describe(const RestoreSession& session, int fd, const image::OpenFileRecord& record,
              const image::ObjectRecord& object) {
  set_attributes(session, fd, record);
  if (object.mode() == 0) return;  // it is not known
  set_owner(session, fd, record, object);
  (void)::fchmod(fd, object.mode() & 07777);
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  constexpr std::uint32_t kMeaningless = O_CREAT | O_EXCL | O_TRUNC | O_NOFOLLOW | O_TMPFILE;
  int content = record.object() != 0 ? session.context.objects->fd(record.object()) : -1;
  if (content < 0)
    return make_error(ErrorKind::kBadImage, record.name() + " has no content in the image");
  const image::ObjectRecord& object =
      session.manifest.objects(static_cast<int>(record.object()) - 1);
  if (object.mode() != 0) (void)::fchmod(content, kOpenMode);
  UniqueFd fd =
      is_first_open_file(record)
          ? CK_TRY(first_open_file(record, content))
          : UniqueFd(::open(("/proc/self/fd/" + std::to_string(content)).c_str(),
                            static_cast<int>(record.flags() & ~kMeaningless) | O_CLOEXEC));
  if (!fd) return sys_error("open the restored " + record.name());
  if (::lseek(fd.get(), record.position(), SEEK_SET) < 0)
    return sys_error("set the position of " + record.name());
  describe(session, content, record, object);
  return Restored(std::move(fd));
}

}  // namespace

const Kind kSavedFile = {"saved", recognises, capture, restore};

}  // namespace ck::resources
