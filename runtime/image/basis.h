// What an image holds that was written before, for one that is written on top of it: an incremental
// image, whose chunks are in part those of its parents. Immutable; any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/image/chunk_index.h"
#include "runtime/image/chunk_key.h"
#include "runtime/image/reader.h"

namespace ck::image {

class Basis {
 public:
  // An Error if the image, or a parent of it, cannot be used. Others may have written it as little
  // as one that is restarted.
  static Result<std::shared_ptr<const Basis>> load(const std::string& path);

  const Manifest& manifest() const { return reader_->manifest(); }
  Hash128 hash() const { return hash_; }

  // As the new image names them; the first is the image itself.
  std::vector<ParentRecord> parents() const;
  // Gives all that the new image needs a name in `folder`, where that is missing.
  Status link_into(const std::string& folder) const;

  // Where content is that is equal, if it is.
  std::optional<StoredChunk> find(Hash128 content, std::uint32_t size) const;

  // Records of chunks that hold `runs` (in order) of the stream here, as those of stream `as` of
  // the new image. What no chunk holds is in none of them: it is zero here, too.
  std::vector<ChunkRecord> records(StreamId stream, const std::vector<Run>& runs,
                                   StreamId as) const;

 private:
  struct Place {
    std::uint64_t begin, end;
    std::uint64_t at;  // in the chunk's content
    int chunk;
  };
  Basis() = default;
  void take(int index);

  std::unique_ptr<Reader> reader_;
  Hash128 hash_;
  std::unordered_map<std::uint32_t, std::vector<Place>> places_;  // by stream, in order
  std::unordered_map<ChunkKey, int, ChunkKeyHash> by_content_;
};

}  // namespace ck::image
