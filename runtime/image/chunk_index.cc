#include "runtime/image/chunk_index.h"

#include <google/protobuf/wire_format_lite.h>

#include <algorithm>

namespace ck::image {

namespace {

constexpr std::size_t kMaxRemembered = 100'000;
constexpr std::size_t kBlockBytes = 64 << 10;

void append_varint(std::string& to, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) to.push_back(static_cast<char>(value | 0x80));
  to.push_back(static_cast<char>(value));
}

std::string serialise(const ChunkRecord& record) {
  using google::protobuf::internal::WireFormatLite;
  std::string text;
  append_varint(text, WireFormatLite::MakeTag(Manifest::kChunksFieldNumber,
                                              WireFormatLite::WIRETYPE_LENGTH_DELIMITED));
  append_varint(text, record.ByteSizeLong());
  record.AppendToString(&text);
  return text;
}

}  // namespace

std::optional<StoredChunk> ChunkIndex::find(Hash128 content, std::uint32_t size) const {
  const std::lock_guard lock(mutex_);
  const auto found = stored_.find({content, size});
  if (found == stored_.end()) return std::nullopt;
  return found->second;
}

void ChunkIndex::remember(Hash128 content, std::uint32_t size, const StoredChunk& stored) {
  const std::lock_guard lock(mutex_);
  if (stored_.size() < kMaxRemembered) stored_.emplace(ChunkKey{content, size}, stored);
}

void ChunkIndex::add(std::uint32_t sequence, const ChunkRecord& record) {
  const std::string text = serialise(record);
  const std::lock_guard lock(mutex_);
  if (blocks_.empty() || blocks_.back().size() + text.size() > kBlockBytes) {
    blocks_.emplace_back().reserve(std::max(kBlockBytes, text.size()));
  }
  std::string& block = blocks_.back();
  entries_.push_back({sequence, static_cast<std::uint32_t>(blocks_.size() - 1),
                      static_cast<std::uint32_t>(block.size()),
                      static_cast<std::uint32_t>(text.size())});
  block += text;
}

Status ChunkIndex::for_each_serialised(
    const std::function<Status(std::span<const std::byte>)>& each) {
  const std::lock_guard lock(mutex_);
  std::sort(entries_.begin(), entries_.end(),
            [](const Entry& a, const Entry& b) { return a.sequence < b.sequence; });
  for (const Entry& entry : entries_) {
    const std::string& block = blocks_[entry.block];
    CK_TRY(each(std::as_bytes(std::span(block).subspan(entry.begin, entry.size))));
  }
  return {};
}

}  // namespace ck::image
