// Reads and verifies images. Every length, count, offset and enum is checked before use: bad input
// is one clear Error of kind kBadImage, never a crash and never half a result.
// A Reader is immutable after open(); any thread may call it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "runtime/base/result.h"
#include "runtime/image/format.h"
#include "runtime/image/image.pb.h"
#include "runtime/image/writer.h"

namespace ck::image {

struct VerifyReport {
  std::uint64_t chunks = 0;
  std::uint64_t bytes = 0;  // of content, decompressed
};

class Reader {
 public:
  // Opens and checks header, footer, manifest checksum, and the manifest's structure (indices,
  // ranges, sizes); and that the parents of an incremental image are there. `require_owner`: refuse
  // an image that others than the caller (or root) own or could have written: it will be executed.
  static Result<std::unique_ptr<Reader>> open(const std::string& path, bool require_owner);
  // The same without the chunks, which are most of a manifest: it has none, and there is nothing to
  // read or to verify. For what only the records tell.
  static Result<std::unique_ptr<Reader>> open_records(const std::string& path, bool require_owner);
  virtual ~Reader() = default;

  virtual const std::string& path() const = 0;
  virtual int fd() const = 0;
  virtual const Manifest& manifest() const = 0;
  virtual std::uint64_t file_bytes() const = 0;
  virtual Hash128 manifest_hash() const = 0;
  // Of Manifest.parents: what opened the image has opened them.
  virtual int parent_fd(std::size_t index) const = 0;

  // The content of chunk `index` (raw_size bytes) into `into`, checksum verified.
  virtual Status read_chunk(std::size_t index, std::span<std::byte> into) const = 0;

  // Every checksum, with `threads` threads (0: one a core).
  virtual Result<VerifyReport> verify(unsigned threads, Progress* progress) const = 0;
};

}  // namespace ck::image
