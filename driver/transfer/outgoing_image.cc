#include "driver/transfer/outgoing_image.h"

#include <fcntl.h>

#include "driver/transfer/file_io.h"
#include "runtime/image/bundle.h"

namespace ck::driver::transfer {

Result<std::unique_ptr<OutgoingImage>> OutgoingImage::open(const std::string& path) {
  const std::unique_ptr<image::Reader> reader = CK_TRY(image::open_image_or_bundle(path, true));
  std::unique_ptr<OutgoingImage> image(new OutgoingImage());
  image->path_ = path;
  // The reader goes, and with it the parsed manifest.
  image->fd_.reset(::fcntl(reader->fd(), F_DUPFD_CLOEXEC, 0));
  if (!image->fd_) return sys_error("duplicate the descriptor of " + path);
  image->extents_ = CK_TRY(extents_of(reader->manifest()));
  for (const image::ChunkRecord& chunk : reader->manifest().chunks())
    if (chunk.file() == 0) image->content_bytes_ += chunk.raw_size();
  ImageHead& head = image->head_;
  CK_TRY(read_at(reader->fd(), 0, std::as_writable_bytes(std::span(&head.header, 1)), path));
  CK_TRY(read_at(reader->fd(), reader->file_bytes() - sizeof head.footer,
                 std::as_writable_bytes(std::span(&head.footer, 1)), path));
  return image;
}

Status OutgoingImage::read_manifest(std::uint64_t offset, std::span<std::byte> into) const {
  CK_CHECK(offset <= manifest_bytes() && into.size() <= manifest_bytes() - offset);
  return read_at(fd_.get(), head_.footer.manifest_offset + offset, into, path_);
}

Status OutgoingImage::read_extent(std::size_t index, std::span<std::byte> into) const {
  CK_CHECK(index < extents_.size());
  const Extent& extent = extents_[index];
  CK_CHECK(into.size() == extent.size);
  CK_TRY(read_at(fd_.get(), extent.offset, into, path_));
  if (image::hash128(into) != extent.hash) {
    return make_error(ErrorKind::kBadImage,
                      path_ + " is damaged at byte " + std::to_string(extent.offset),
                      "an earlier generation may still be whole");
  }
  return {};
}

Status OutgoingImage::send(std::span<const ExtentRange> needed, const Send& send) const {
  CK_TRY(check(needed, extents_.size()));
  std::vector<std::byte> buffer;
  for (const ExtentRange& range : needed) {
    for (std::uint32_t index = range.first; index < range.first + range.count; ++index) {
      buffer.resize(extents_[index].size);
      CK_TRY(read_extent(index, buffer));
      CK_TRY(send(index, buffer));
    }
  }
  return {};
}

}  // namespace ck::driver::transfer
