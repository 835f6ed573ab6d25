// The runs of a chunk with their places in its content. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/image/image.pb.h"

namespace ck::image {

struct Piece {
  std::uint64_t begin = 0;   // address or file offset
  std::uint64_t length = 0;  // bytes
  std::size_t at = 0;        // in the content
};

// Of a chunk that is valid.
inline std::vector<Piece> pieces_of(const ChunkRecord& chunk) {
  std::vector<Piece> pieces;
  pieces.reserve(static_cast<std::size_t>(chunk.run_begin_size()));
  std::size_t at = 0;
  for (int i = 0; i < chunk.run_begin_size(); ++i) {
    if (chunk.run_skip_size() != 0) at += chunk.run_skip(i);
    pieces.push_back({chunk.run_begin(i), chunk.run_length(i), at});
    at += chunk.run_length(i);
  }
  return pieces;
}

}  // namespace ck::image
