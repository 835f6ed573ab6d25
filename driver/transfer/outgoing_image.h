// An image that is sent: its head, its manifest, and the extents that the other side asks for.
// Together they make the same file there, byte for byte. Immutable after open(); any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "driver/transfer/extents.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/format.h"

namespace ck::driver::transfer {

// The two ends of the file: they say how long it and its manifest are, and seal the manifest.
struct ImageHead {
  image::Header header;
  image::Footer footer;
};

class OutgoingImage {
 public:
  // The image must be whole and the caller's own, or root's.
  static Result<std::unique_ptr<OutgoingImage>> open(const std::string& path);

  const ImageHead& head() const { return head_; }
  std::uint64_t manifest_bytes() const { return head_.footer.manifest_size; }
  // Bytes of the manifest from `offset` in it on; must lie within it.
  Status read_manifest(std::uint64_t offset, std::span<std::byte> into) const;

  // Of what this image holds itself, before it was compressed.
  std::uint64_t content_bytes() const { return content_bytes_; }

  const std::vector<Extent>& extents() const { return extents_; }
  // `into` must have the extent's size. Damage is found here, not by the other side.
  Status read_extent(std::size_t index, std::span<std::byte> into) const;

  // Reads the extents that were asked for, which are checked, in order. `send` gets each one's
  // index and bytes (valid during the call); its error ends it.
  using Send = std::function<Status(std::uint32_t index, std::span<const std::byte> bytes)>;
  Status send(std::span<const ExtentRange> needed, const Send& send) const;

 private:
  OutgoingImage() = default;
  std::string path_;
  UniqueFd fd_;
  ImageHead head_{};
  std::uint64_t content_bytes_ = 0;
  std::vector<Extent> extents_;
};

}  // namespace ck::driver::transfer
