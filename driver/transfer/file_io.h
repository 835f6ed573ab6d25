// Whole reads and writes at an offset of a file. Any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "runtime/base/result.h"

namespace ck::driver::transfer {

// A file that ends before is an error (kBadImage).
Status read_at(int fd, std::uint64_t offset, std::span<std::byte> into, const std::string& path);
Status write_at(int fd, std::uint64_t offset, std::span<const std::byte> bytes,
                const std::string& path);

}  // namespace ck::driver::transfer
