#include "runtime/memory/posix_shared_memory.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

namespace ck::memory {

using image::ObjectRecord;

namespace {

bool writes_by_descriptor(const image::Manifest& manifest, std::uint32_t index) {
  return std::any_of(manifest.open_files().begin(), manifest.open_files().end(),
                     [&](const image::OpenFileRecord& file) {
                       return file.object() == index && (file.flags() & O_ACCMODE) != O_RDONLY;
                     });
}

bool writes_by_mapping(const image::Manifest& manifest, std::uint32_t index) {
  for (const image::ProcessRecord& process : manifest.processes())
    for (const image::MappingRecord& mapping : process.mappings())
      if (mapping.object() == index && mapping.shared() && mapping.writable_file()) return true;
  return false;
}

Error cannot_put_back(const ObjectRecord& object) {
  Error error = sys_error("put back shared memory " + object.path());
  error.kind = ErrorKind::kRefused;
  return std::move(error).with_hint("remove the file if it is none of the job's");
}

Status set_owner(int fd, const ObjectRecord& object) {
  // Of another user's file only the content matters; root alone could give it away.
  (void)!::fchown(fd, object.uid(), object.gid());
  if (::fchmod(fd, object.mode() & 07777) != 0) return cannot_put_back(object);
  return {};
}

// In place, never shorter than before: other processes may have it mapped.
Status empty(int fd, const ObjectRecord& object) {
  const auto size = static_cast<off_t>(object.size());
  if (::ftruncate(fd, size) != 0) return cannot_put_back(object);
  if (size != 0 && ::fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, size) != 0)
    return cannot_put_back(object);
  return {};
}

}  // namespace

bool is_posix_shared_memory(std::string_view path) {
  return path.starts_with("/dev/shm/");
}

bool keeps_posix_shared_memory(const ObjectRecord& object) {
  return object.kind() == ObjectRecord::PATH && object.has_content() &&
         !object.executable_mapped() && is_posix_shared_memory(object.path());
}

Result<UniqueFd> put_back_file(const image::Manifest& manifest, std::uint32_t index) {
  const ObjectRecord& object = manifest.objects(static_cast<int>(index) - 1);
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY;
  UniqueFd made(::open(object.path().c_str(), kFlags | O_CREAT | O_EXCL, 0600));
  if (made) {
    CK_TRY(set_owner(made.get(), object));
    CK_TRY(empty(made.get(), object));
    return made;
  }
  if (errno != EEXIST) return cannot_put_back(object);
  if (!writes_by_descriptor(manifest, index) && !writes_by_mapping(manifest, index))
    return UniqueFd();
  UniqueFd found(::open(object.path().c_str(), kFlags));
  struct stat status {};
  if (!found || ::fstat(found.get(), &status) != 0) return cannot_put_back(object);
  if (!S_ISREG(status.st_mode))
    return make_error(ErrorKind::kRefused, object.path() + " is no regular file any more");
  CK_TRY(empty(found.get(), object));
  return found;
}

}  // namespace ck::memory
