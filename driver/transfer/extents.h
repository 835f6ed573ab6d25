// The extents of an image: its distinct stored chunks, each one piece of the file that is sent, or
// not sent, as a whole and is known by its checksum. What lies between them is zero. Pure; any
// thread.
//
// Why content is taken for equal when an XXH3-128 is: by accident that does not happen, and
// on purpose nobody but the job's owner can make it happen, because chunks are only shared between
// images of one user (chunk_store.h). The checksum keeps errors out, not the owner.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/image/format.h"
#include "runtime/image/image.pb.h"

namespace ck::driver::transfer {

struct Extent {
  std::uint64_t offset = 0;  // in the file
  std::uint32_t size = 0;    // bytes; at most image::kChunkBytes
  image::Hash128 hash;       // of these bytes
  bool operator==(const Extent&) const = default;
};

// In the order of the file. `manifest` must be valid by itself (image::Reader checks that); an
// image whose chunks overlap without being the same is refused (kBadImage).
Result<std::vector<Extent>> extents_of(const image::Manifest& manifest);

struct ExtentRange {
  std::uint32_t first = 0;  // index
  std::uint32_t count = 0;
  bool operator==(const ExtentRange&) const = default;
};

// Of what a peer asks for: in order, apart, not empty, and there. Else kRefused.
Status check(std::span<const ExtentRange> ranges, std::size_t extents);

}  // namespace ck::driver::transfer
