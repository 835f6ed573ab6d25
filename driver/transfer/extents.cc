#include "driver/transfer/extents.h"

#include <algorithm>

namespace ck::driver::transfer {

Result<std::vector<Extent>> extents_of(const image::Manifest& manifest) {
  std::vector<Extent> extents;
  extents.reserve(static_cast<std::size_t>(manifest.chunks_size()));
  for (const image::ChunkRecord& chunk : manifest.chunks()) {
    if (chunk.file() != 0) continue;  // its parents go before it
    extents.push_back({chunk.offset(), chunk.stored_size(), {chunk.hash_low(), chunk.hash_high()}});
  }
  std::stable_sort(extents.begin(), extents.end(),
                   [](const Extent& a, const Extent& b) { return a.offset < b.offset; });
  extents.erase(std::unique(extents.begin(), extents.end()), extents.end());
  for (std::size_t i = 1; i < extents.size(); ++i) {
    if (extents[i - 1].offset + extents[i - 1].size > extents[i].offset) {
      return make_error(ErrorKind::kBadImage,
                        "chunks of the image overlap at byte " + std::to_string(extents[i].offset));
    }
  }
  return extents;
}

Status check(std::span<const ExtentRange> ranges, std::size_t extents) {
  std::uint64_t end = 0;
  for (const ExtentRange& range : ranges) {
    if (range.count == 0 || range.first < end || range.first >= extents ||
        range.count > extents - range.first) {
      return make_error(ErrorKind::kRefused,
                        "a peer asks for chunks that are not there, or not in order");
    }
    end = std::uint64_t{range.first} + range.count;
  }
  return {};
}

}  // namespace ck::driver::transfer
