// The other side of ObjectTable: files that exist only in the image come to be again, with their
// content, as unlinked files and memfds that the engine holds and the restored processes are given.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/image/image.pb.h"
#include "runtime/image/reader.h"

namespace ck::memory {

class RestoredObjects {
 public:
  // All files, with their size, mode and name, still empty. `manifest` must outlive the object.
  static Result<RestoredObjects> create(const image::Manifest& manifest);

  // Read and write descriptor of the object (index plus 1, as records name it); -1: it is a file by
  // path, and not one in shared memory that is put back. Each user opens /proc/self/fd/N of it to
  // have an open file of its own.
  int fd(std::uint32_t index) const { return files_[index - 1].get(); }

  // For a mapping that may never be written through. Made with the other descriptor it might be by
  // mprotect(2), and then the kernel refuses to seal the file against writing (fcntl(2)).
  Result<UniqueFd> read_only(std::uint32_t index) const;

  // A program or library of which the image keeps a copy, where the one on disk will not do: a
  // read-only descriptor of that copy, made when it is first asked for.
  Result<int> copy_of_program(const image::Reader& reader, std::uint32_t index);

  // Content of one chunk of an object. Any thread, several at once.
  Status write_chunk(const image::ChunkRecord& chunk, std::span<const std::byte> content) const;
  // Reads and writes all chunks of objects.
  Status fill(const image::Reader& reader) const;

  // Seals, and modification times. After the mappings were made: a mapping may be older than a seal
  // that forbids it.
  Status finish() const;

 private:
  Status fill_one(const image::Reader& reader, std::uint32_t stream_index) const;
  explicit RestoredObjects(const image::Manifest& manifest) : manifest_(&manifest) {}
  const image::Manifest* manifest_;
  std::vector<UniqueFd> files_;
};

}  // namespace ck::memory
