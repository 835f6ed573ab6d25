#include "runtime/memory/restored_objects.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/base/timespec.h"
#include "runtime/image/pieces.h"
#include "runtime/image/writer.h"
#include "runtime/memory/file_content.h"
#include "runtime/memory/posix_shared_memory.h"

namespace ck::memory {
namespace {

using image::ObjectRecord;

// In the folder where it was, so that it is on the same file system; else where it can be.
UniqueFd unlinked_file(const ObjectRecord& object) {
  constexpr int kFlags = O_TMPFILE | O_RDWR | O_CLOEXEC;
  std::size_t slash = object.path().rfind('/');
  std::string folder = slash == 0 ? "/" : object.path().substr(0, slash);
  for (const char* place : {folder.c_str(), "/var/tmp", "/tmp"}) {
    if (place[0] != '/') continue;
    UniqueFd fd(::open(place, kFlags, 0600));
    if (fd) return fd;
  }
  return UniqueFd();
}

UniqueFd memory_file(const ObjectRecord& object) {
  constexpr unsigned kHugeSize = 0x3fu << 26;  // MFD_HUGE_MASK << MFD_HUGE_SHIFT
  unsigned flags = object.memfd_flags() & (MFD_HUGETLB | kHugeSize);
  bool shared = object.kind() == ObjectRecord::SHARED_MEMORY;
  return UniqueFd(::memfd_create(shared ? "shared" : object.path().c_str(),
                                 flags | MFD_CLOEXEC | MFD_ALLOW_SEALING));
}

Result<UniqueFd> create_file(const ObjectRecord& object) {
  bool saved = object.kind() == ObjectRecord::SAVED;
  UniqueFd fd = saved ? unlinked_file(object) : memory_file(object);
  if (!fd) return sys_error("create unlinked file " + object.path());
  if (::ftruncate(fd.get(), static_cast<off_t>(object.size())) != 0) {
    return sys_error("make unlinked file " + object.path() + " " + std::to_string(object.size()) +
                     " bytes long");
  }
  if (object.mode() != 0) ::fchmod(fd.get(), object.mode() & 07777);
  return fd;
}

UniqueFd reopened_read_only(int fd) {
  const std::string link = "/proc/self/fd/" + std::to_string(fd);
  return UniqueFd(::open(link.c_str(), O_RDONLY | O_CLOEXEC));
}

bool is_by_path(const ObjectRecord& object) {
  return object.kind() == ObjectRecord::PATH || object.kind() == ObjectRecord::DIRECTORY;
}

}  // namespace

Result<RestoredObjects> RestoredObjects::create(const image::Manifest& manifest) {
  RestoredObjects objects(manifest);
  for (const ObjectRecord& object : manifest.objects()) {
    const auto index = static_cast<std::uint32_t>(objects.files_.size()) + 1;
    if (keeps_posix_shared_memory(object)) {
      objects.files_.push_back(CK_TRY(put_back_file(manifest, index)));
    } else {
      // System V segments: runtime/resources/system_v.h.
      const bool elsewhere = is_by_path(object) || object.kind() == ObjectRecord::SYSTEM_V;
      objects.files_.push_back(elsewhere ? UniqueFd() : CK_TRY(create_file(object)));
    }
  }
  return objects;
}

Status RestoredObjects::write_chunk(const image::ChunkRecord& chunk,
                                    std::span<const std::byte> content) const {
  image::StreamId stream = image::StreamId::unpack(chunk.stream());
  if (stream.kind != image::StreamId::Kind::kObject || !files_[stream.index]) return {};
  for (const image::Piece& piece : image::pieces_of(chunk))
    CK_TRY(
        write_at(files_[stream.index].get(), piece.begin, content.subspan(piece.at, piece.length)));
  return {};
}

Status RestoredObjects::fill(const image::Reader& reader) const {
  for (std::uint32_t i = 0; i < files_.size(); ++i)
    if (files_[i]) CK_TRY(fill_one(reader, i));
  return {};
}

Status RestoredObjects::fill_one(const image::Reader& reader, std::uint32_t stream_index) const {
  std::vector<std::byte> buffer(image::kChunkBytes);
  const image::StreamId wanted{image::StreamId::Kind::kObject, stream_index};
  for (int i = 0; i < manifest_->chunks_size(); ++i) {
    const image::ChunkRecord& chunk = manifest_->chunks(i);
    if (!(image::StreamId::unpack(chunk.stream()) == wanted)) continue;
    auto content = std::span(buffer).first(chunk.raw_size());
    CK_TRY(reader.read_chunk(static_cast<std::size_t>(i), content));
    CK_TRY(write_chunk(chunk, content));
  }
  return {};
}

// Read-only in the end: the kernel takes no file as a process's executable that is open for
// writing.
Result<int> RestoredObjects::copy_of_program(const image::Reader& reader, std::uint32_t index) {
  UniqueFd& file = files_[index - 1];
  if (file) return file.get();
  const ObjectRecord& object = manifest_->objects(static_cast<int>(index) - 1);
  const std::string name = object.path().substr(object.path().rfind('/') + 1);
  file.reset(::memfd_create(name.c_str(), MFD_CLOEXEC));
  if (!file || ::ftruncate(file.get(), static_cast<off_t>(object.size())) != 0)
    return sys_error("create a copy of " + object.path());
  CK_TRY(fill_one(reader, index - 1));
  UniqueFd read_only = reopened_read_only(file.get());
  if (!read_only) return sys_error("open a copy of " + object.path());
  file = std::move(read_only);
  return file.get();
}

Result<UniqueFd> RestoredObjects::read_only(std::uint32_t index) const {
  UniqueFd reader = reopened_read_only(fd(index));
  if (!reader) reader.reset(::fcntl(fd(index), F_DUPFD_CLOEXEC, 0));  // its mode does not allow it
  if (!reader)
    return sys_error("open unlinked file " +
                     manifest_->objects(static_cast<int>(index) - 1).path());
  return reader;
}

Status RestoredObjects::finish() const {
  for (int i = 0; i < manifest_->objects_size(); ++i) {
    const ObjectRecord& object = manifest_->objects(i);
    int fd = files_[static_cast<std::size_t>(i)].get();
    if (fd < 0 || (is_by_path(object) && !keeps_posix_shared_memory(object))) continue;
    const timespec modified = to_timespec(object.mtime_ns());
    const timespec times[2] = {modified, modified};
    if (object.kind() != ObjectRecord::SHARED_MEMORY) ::futimens(fd, times);
    if (object.kind() == ObjectRecord::MEMFD && object.seals() != 0 &&
        ::fcntl(fd, F_ADD_SEALS, object.seals()) != 0) {
      return sys_error("seal memfd " + object.path());
    }
  }
  return {};
}

}  // namespace ck::memory
