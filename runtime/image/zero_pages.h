// Finds and leaves out pages of zeros. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/image/writer.h"

namespace ck::image {

bool all_zero(std::span<const std::byte> bytes);

// `content` holds what `runs` describe, one after the other. Moves the pages that are not all zero
// to its front and makes `runs` describe just these. Returns how many bytes remain.
std::size_t drop_zero_pages(std::span<std::byte> content, std::vector<Run>& runs);

}  // namespace ck::image
