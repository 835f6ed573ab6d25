#include "runtime/restore/mapped_files.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstring>

#include "runtime/base/timespec.h"
#include "runtime/image/pieces.h"
#include "runtime/memory/posix_shared_memory.h"
#include "runtime/proc/pass_descriptor.h"

namespace ck::restore {

using proc::Mailbox;

namespace {

bool same_identity(const image::ObjectRecord& object, const struct stat& status) {
  return object.device() == status.st_dev && object.inode() == status.st_ino &&
         object.size() == static_cast<std::uint64_t>(status.st_size) &&
         object.mtime_ns() == to_nanoseconds(status.st_mtim);
}

// On another host, or after a reinstallation, the numbers of device and inode say nothing.
bool same_time_and_size(const image::ObjectRecord& object, const struct stat& status) {
  return object.size() == static_cast<std::uint64_t>(status.st_size) &&
         object.mtime_ns() == to_nanoseconds(status.st_mtim);
}

}  // namespace

Result<int> MappedFiles::descriptor(Mailbox& box, std::uint32_t index,
                                    const image::MappingRecord& mapping) {
  const image::ObjectRecord& object = reader_.manifest().objects(static_cast<int>(index) - 1);
  bool same = false;
  if (object.kind() == image::ObjectRecord::PATH) CK_TRY(check_same(index, mapping, same));
  const bool writable = mapping.shared() && mapping.writable_file();
  const auto key = std::make_pair(index, writable);
  if (const auto found = open_.find(key); found != open_.end()) return found->second;
  const int fd = CK_TRY(same ? open_path(box, index, writable) : from_image(box, index, writable));
  open_[key] = fd;
  return fd;
}

int MappedFiles::system_v_segment(std::uint32_t index) const {
  if (index == 0) return -1;
  const image::ObjectRecord& object = reader_.manifest().objects(static_cast<int>(index) - 1);
  return object.kind() == image::ObjectRecord::SYSTEM_V ? static_cast<int>(object.inode()) : -1;
}

int MappedFiles::descriptor_of(const std::string& path) const {
  for (const auto& [key, fd] : open_)
    if (!key.second && reader_.manifest().objects(static_cast<int>(key.first) - 1).path() == path)
      return fd;
  return -1;
}

Result<int> MappedFiles::open_path(Mailbox& box, std::uint32_t index, bool writable) {
  const image::ObjectRecord& object = reader_.manifest().objects(static_cast<int>(index) - 1);
  return static_cast<int>(
      CK_TRY(box.call("open " + object.path(), SYS_openat, AT_FDCWD, box.put_string(object.path()),
                      (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC)));
}

Result<int> MappedFiles::from_image(Mailbox& box, std::uint32_t index, bool writable) {
  const auto pass = [&](int ours) {
    return proc::pass_descriptor(box, channel_, channel_fd_, ours);
  };
  if (reader_.manifest().objects(static_cast<int>(index) - 1).kind() == image::ObjectRecord::PATH)
    return pass(CK_TRY(objects_.copy_of_program(reader_, index)));
  if (writable) return pass(objects_.fd(index));
  const UniqueFd reader = CK_TRY(objects_.read_only(index));
  return pass(reader.get());
}

Status MappedFiles::check_same(std::uint32_t index, const image::MappingRecord& mapping,
                               bool& same) {
  if (const auto known = same_.find(index); known != same_.end()) {
    same = known->second;
    return {};
  }
  const image::ObjectRecord& object = reader_.manifest().objects(static_cast<int>(index) - 1);
  struct stat status {};
  const bool there = ::stat(object.path().c_str(), &status) == 0;
  same = there && same_identity(object, status);
  const bool as_it_is = there && memory::keeps_posix_shared_memory(object);
  if (!same && object.has_content() && !as_it_is) {
    same = there && CK_TRY(has_same_content(index));
    if (!same)
      warnings_.push_back(object.path() + (there ? " is another one here" : " is not here") +
                          "; the image's own copy is used");
  } else if (!same && !there) {
    return make_error(ErrorKind::kNotFound, "the job maps " + object.path() + ", which is not here",
                      "put the file back where it was");
  } else if (!same && mapping.shared()) {
    if (static_cast<std::uint64_t>(status.st_size) < object.size())
      return make_error(ErrorKind::kRefused,
                        object.path() + ", which the job maps, has become shorter");
    if (!same_time_and_size(object, status))
      warnings_.push_back(object.path() + ", which the job maps, has changed since the checkpoint");
    same = true;
  } else if (!same) {
    same = same_time_and_size(object, status);
    if (!same)
      return make_error(
          ErrorKind::kRefused,
          object.path() + ", which the job maps privately, has changed since the checkpoint",
          "put the file back as it was");
  }
  same_[index] = same;
  return {};
}

// Compares the file with the image's copy, chunk by chunk.
Result<bool> MappedFiles::has_same_content(std::uint32_t index) const {
  const image::Manifest& manifest = reader_.manifest();
  const image::ObjectRecord& object = manifest.objects(static_cast<int>(index) - 1);
  UniqueFd fd(::open(object.path().c_str(), O_RDONLY | O_CLOEXEC));
  struct stat status {};
  if (!fd || ::fstat(fd.get(), &status) != 0 ||
      static_cast<std::uint64_t>(status.st_size) != object.size())
    return false;
  const image::StreamId stream{image::StreamId::Kind::kObject, index - 1};
  std::vector<std::byte> kept(image::kChunkBytes);
  std::vector<std::byte> found(image::kChunkBytes);
  for (int i = 0; i < manifest.chunks_size(); ++i) {
    const image::ChunkRecord& chunk = manifest.chunks(i);
    if (!(image::StreamId::unpack(chunk.stream()) == stream)) continue;
    CK_TRY(
        reader_.read_chunk(static_cast<std::size_t>(i), std::span(kept).first(chunk.raw_size())));
    for (const image::Piece& piece : image::pieces_of(chunk))
      if (::pread(fd.get(), found.data(), piece.length, static_cast<off_t>(piece.begin)) !=
              static_cast<ssize_t>(piece.length) ||
          std::memcmp(found.data(), kept.data() + piece.at, piece.length) != 0)
        return false;
  }
  return true;
}

}  // namespace ck::restore
