#define ZSTD_STATIC_LINKING_ONLY  // contexts in memory of ours, so that its size is known
#include "runtime/image/chunk_encoder.h"

#include <zstd.h>

#include <cstring>

#include "runtime/image/format.h"

namespace ck::image {

namespace {

constexpr std::size_t kSamplePieces = 4;
constexpr std::size_t kSampleBytes = kSamplePieces * kPageBytes;
constexpr std::size_t kWorthSampling = 4 * kSampleBytes;

// What a frame must not exceed to be worth decompressing: 97% of the content.
std::size_t worthwhile(std::size_t content) {
  return content - content / 32;
}

std::size_t context_bytes(int level) {
  return ZSTD_estimateCCtxSize_usingCParams(ZSTD_getCParams(level, kChunkBytes, 0));
}

}  // namespace

std::size_t ChunkEncoder::memory_needed(Codec codec, int level) {
  if (codec == Codec::kRaw) return 0;
  return context_bytes(level) + kChunkBytes + kSampleBytes;
}

Result<std::unique_ptr<ChunkEncoder>> ChunkEncoder::create(Codec codec, int level) {
  std::unique_ptr<ChunkEncoder> encoder(new ChunkEncoder);
  if (codec == Codec::kRaw) return encoder;
  if (level < kLowestLevel || level > kHighestLevel) {
    return make_error(
        ErrorKind::kUsage, "there is no zstd level " + std::to_string(level),
        "levels are " + std::to_string(kLowestLevel) + " to " + std::to_string(kHighestLevel));
  }
  encoder->level_ = level;
  encoder->workspace_ = CK_TRY(PageBuffer::create(context_bytes(level)));
  encoder->output_ = CK_TRY(PageBuffer::create(kChunkBytes));
  encoder->sample_ = CK_TRY(PageBuffer::create(kSampleBytes));
  encoder->context_ = ZSTD_initStaticCCtx(encoder->workspace_.data(), encoder->workspace_.size());
  CK_CHECK(encoder->context_ != nullptr);
  return encoder;
}

EncodedChunk ChunkEncoder::encode(std::span<const std::byte> content) {
  if (context_ == nullptr || looks_incompressible(content)) return {Codec::kRaw, content};
  const std::size_t size = compress(output_.span().first(worthwhile(content.size())), content);
  if (size == 0) return {Codec::kRaw, content};
  return {Codec::kZstd, output_.span().first(size)};
}

// Random or already compressed data is told by four pages from all over the chunk.
bool ChunkEncoder::looks_incompressible(std::span<const std::byte> content) {
  if (content.size() < kWorthSampling) return false;
  const std::size_t stride = content.size() / kSamplePieces;
  for (std::size_t i = 0; i < kSamplePieces; ++i) {
    std::memcpy(sample_.data() + i * kPageBytes, content.data() + i * stride, kPageBytes);
  }
  return compress(output_.span().first(worthwhile(kSampleBytes)), sample_.span()) == 0;
}

std::size_t ChunkEncoder::compress(std::span<std::byte> into, std::span<const std::byte> content) {
  const std::size_t size =
      ZSTD_compressCCtx(context_, into.data(), into.size(), content.data(), content.size(), level_);
  return ZSTD_isError(size) != 0 ? 0 : size;
}

}  // namespace ck::image
