#include "driver/transfer/chunk_store.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "driver/transfer/file_io.h"
#include "runtime/image/bundle.h"

namespace ck::driver::transfer {

Status ChunkStore::add(const std::string& path) {
  const std::unique_ptr<image::Reader> reader = CK_TRY(image::open_image_or_bundle(path, false));
  struct stat status;
  if (::fstat(reader->fd(), &status) != 0) return sys_error("stat " + path);
  if (status.st_uid != user_ || (status.st_mode & (S_IWGRP | S_IWOTH)) != 0) {
    return make_error(ErrorKind::kPermission,
                      path + " is not the user's own, or others may write it");
  }
  UniqueFd fd(::fcntl(reader->fd(), F_DUPFD_CLOEXEC, 0));
  if (!fd) return sys_error("duplicate the descriptor of " + path);
  const auto file = static_cast<std::uint32_t>(files_.size());
  for (const Extent& extent : CK_TRY(extents_of(reader->manifest()))) {
    if (places_.size() == kMostChunks) break;
    // The newest image is the one most likely to stay.
    places_.insert_or_assign(image::ChunkKey{extent.hash, extent.size}, Place{extent.offset, file});
  }
  files_.push_back({path, std::move(fd)});
  return {};
}

bool ChunkStore::read(const Extent& extent, std::span<std::byte> into) const {
  CK_CHECK(into.size() == extent.size);
  const auto found = places_.find(image::ChunkKey{extent.hash, extent.size});
  if (found == places_.end()) return false;
  const File& file = files_[found->second.file];
  return read_at(file.fd.get(), found->second.offset, into, file.path).ok() &&
         image::hash128(into) == extent.hash;
}

}  // namespace ck::driver::transfer
