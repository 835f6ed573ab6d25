#include "runtime/image/zero_pages.h"

#include <algorithm>
#include <cstring>

#include "runtime/image/format.h"

namespace ck::image {

bool all_zero(std::span<const std::byte> bytes) {
  constexpr std::size_t kBlock = 64;
  const std::byte* at = bytes.data();
  const std::byte* const end = at + bytes.size();
  for (; static_cast<std::size_t>(end - at) >= kBlock; at += kBlock) {
    std::uint64_t words[kBlock / 8];
    std::memcpy(words, at, kBlock);
    std::uint64_t any = 0;
    for (std::uint64_t word : words) any |= word;
    if (any != 0) return false;
  }
  return std::all_of(at, end, [](std::byte byte) { return byte == std::byte{0}; });
}

namespace {

void add_piece(std::vector<Run>& runs, std::uint64_t begin, std::uint64_t length) {
  if (!runs.empty() && runs.back().begin + runs.back().length == begin) {
    runs.back().length += length;
  } else {
    runs.push_back({begin, length});
  }
}

}  // namespace

std::size_t drop_zero_pages(std::span<std::byte> content, std::vector<Run>& runs) {
  std::vector<Run> kept;
  kept.reserve(runs.size());
  std::size_t from = 0;
  std::size_t to = 0;
  for (const Run& run : runs) {
    for (std::uint64_t done = 0; done < run.length;) {
      const std::uint64_t piece = std::min(run.length - done, kPageBytes);
      std::byte* const page = content.data() + from;
      if (!all_zero({page, piece})) {
        if (from != to) std::memmove(content.data() + to, page, piece);
        add_piece(kept, run.begin + done, piece);
        to += piece;
      }
      from += piece;
      done += piece;
    }
  }
  runs = std::move(kept);
  return to;
}

}  // namespace ck::image
