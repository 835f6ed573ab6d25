// What of an image this host has already: the chunks of images that lie here, found by checksum.
// Each store is of one user and knows only images of that user: what one user's job has in memory
// never becomes part of another's, and a made-up checksum can deceive nobody but its maker. One
// thread at a time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "driver/transfer/extents.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/chunk_key.h"

namespace ck::driver::transfer {

class ChunkStore {
 public:
  // `user`: the effective user of all images; those of others, root's included, are refused.
  explicit ChunkStore(std::uint32_t user) : user_(user) {}

  // Notes the chunks of a whole image. It may be removed or change later: what is read is checked.
  // At most kMostChunks are noted; the rest is not found.
  Status add(const std::string& path);

  // Fills `into` with the content of `extent`, whose size it has. False: it is not here, or not as
  // it should be.
  bool read(const Extent& extent, std::span<std::byte> into) const;

  std::size_t chunks() const { return places_.size(); }

  static constexpr std::size_t kMostChunks = 4u << 20;  // of 4 TiB of memory; 300 MB here

 private:
  struct Place {
    std::uint64_t offset;
    std::uint32_t file;
  };
  struct File {
    std::string path;
    UniqueFd fd;
  };

  const std::uint32_t user_;
  std::vector<File> files_;
  std::unordered_map<image::ChunkKey, Place, image::ChunkKeyHash> places_;
};

}  // namespace ck::driver::transfer
