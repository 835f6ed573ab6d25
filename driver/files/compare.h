// The contents of the files of a bundle. Blocking; one thread at a time.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/image/reader.h"

namespace ck::driver::files {

class Contents {
 public:
  explicit Contents(const image::Reader& bundle);

  // `object`: as Entry.object, not 0. Whether the file has that content, and no other.
  Result<bool> equals(std::uint32_t object, int fd, const std::string& path) const;
  // All of it, `into` having its size.
  Status read(std::uint32_t object, std::span<std::byte> into) const;
  // Into an empty file.
  Status write(std::uint32_t object, int fd, const std::string& path) const;

 private:
  template <typename Use>
  Status each(std::uint32_t object, Use use) const;
  const image::Reader& bundle_;
  std::vector<std::vector<int>> chunks_;  // of each object
};

}  // namespace ck::driver::files
