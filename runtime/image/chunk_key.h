// Under which a chunk is found that has been stored already: a hash of it, and its size.
#pragma once

#include <cstddef>
#include <cstdint>

#include "runtime/image/format.h"

namespace ck::image {

struct ChunkKey {
  Hash128 hash;
  std::uint32_t size;
  bool operator==(const ChunkKey&) const = default;
};

struct ChunkKeyHash {
  std::size_t operator()(const ChunkKey& key) const { return key.hash.low; }
};

}  // namespace ck::image
