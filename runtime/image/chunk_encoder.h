// ChunkEncoder: compresses the content of one chunk after the other, each a frame of its own, or
// leaves it raw where zstd gains nothing. One a worker thread; memory is fixed at creation.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

#include "runtime/base/result.h"
#include "runtime/image/page_buffer.h"
#include "runtime/image/writer.h"

struct ZSTD_CCtx_s;

namespace ck::image {

inline constexpr int kLowestLevel = -7;
inline constexpr int kHighestLevel = 19;

struct EncodedChunk {
  Codec codec = Codec::kRaw;
  std::span<const std::byte> bytes;  // valid until the next encode(), or as long as the content
};

class ChunkEncoder {
 public:
  static Result<std::unique_ptr<ChunkEncoder>> create(Codec codec, int level);
  // What one encoder takes, buffers included.
  static std::size_t memory_needed(Codec codec, int level);

  EncodedChunk encode(std::span<const std::byte> content);

 private:
  ChunkEncoder() = default;
  bool looks_incompressible(std::span<const std::byte> content);
  // Size of the frame, or 0 if it would not fit.
  std::size_t compress(std::span<std::byte> into, std::span<const std::byte> content);

  PageBuffer workspace_;
  PageBuffer output_;
  PageBuffer sample_;
  ZSTD_CCtx_s* context_ = nullptr;  // lives in workspace_
  int level_ = 1;
};

}  // namespace ck::image
