// ChunkIndex: what the writer remembers of the chunks that it has written: their records, kept in
// serialised form to be small (about 60 bytes a MiB of content), and where content that came before
// is stored. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/image/chunk_key.h"
#include "runtime/image/format.h"
#include "runtime/image/image.pb.h"
#include "runtime/image/writer.h"

namespace ck::image {

struct StoredChunk {
  std::uint64_t offset = 0;
  std::uint32_t size = 0;
  Codec codec = Codec::kRaw;
  Hash128 hash;            // of the stored bytes
  std::uint32_t file = 0;  // see ChunkRecord
};

class ChunkIndex {
 public:
  // Where content with this hash and size is stored already, if it is.
  std::optional<StoredChunk> find(Hash128 content, std::uint32_t size) const;
  // Remembers only the first hundred thousand or so: memory is bounded.
  void remember(Hash128 content, std::uint32_t size, const StoredChunk& stored);

  // `sequence`: the order in which records are to stand in the manifest.
  void add(std::uint32_t sequence, const ChunkRecord& record);

  // Calls `each` with every record, as it stands serialised in a Manifest (tag and length
  // included), in the order of their sequence numbers. After the last add().
  Status for_each_serialised(const std::function<Status(std::span<const std::byte>)>& each);

 private:
  struct Entry {
    std::uint32_t sequence;
    std::uint32_t block;
    std::uint32_t begin;
    std::uint32_t size;
  };

  mutable std::mutex mutex_;
  std::unordered_map<ChunkKey, StoredChunk, ChunkKeyHash> stored_;
  std::vector<std::string> blocks_;
  std::vector<Entry> entries_;
};

}  // namespace ck::image
