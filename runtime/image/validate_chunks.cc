#include <algorithm>
#include <cinttypes>

#include "runtime/base/sort_parts.h"
#include "runtime/image/format.h"
#include "runtime/image/validate.h"
#include "runtime/image/writer.h"

namespace ck::image {

namespace {

// Whether the mappings, which are in order, cover [begin, end) without a gap.
bool mapped(const ProcessRecord& process, std::uint64_t begin, std::uint64_t end) {
  const auto& mappings = process.mappings();
  auto at = std::upper_bound(
      mappings.begin(), mappings.end(), begin,
      [](std::uint64_t address, const MappingRecord& mapping) { return address < mapping.end(); });
  for (; at != mappings.end() && at->begin() <= begin; ++at) {
    if (end <= at->end()) return true;
    begin = at->end();
  }
  return false;
}

}  // namespace

Status ChunkValidator::check(const ChunkRecord& chunk) {
  CK_TRY(check_storage(chunk));
  CK_TRY(check_runs(chunk));
  ++count_;
  return {};
}

std::string ChunkValidator::name() const {
  return "chunk " + std::to_string(count_);
}

Status ChunkValidator::check_storage(const ChunkRecord& chunk) const {
  if (chunk.raw_size() == 0 || chunk.raw_size() > kChunkBytes) {
    return invalid(name() + " has a size of " + std::to_string(chunk.raw_size()) + " bytes");
  }
  if (chunk.codec() > static_cast<std::uint32_t>(Codec::kZstd)) {
    return invalid(name() + " is compressed in an unknown way (" + std::to_string(chunk.codec()) +
                   ")");
  }
  const bool raw = chunk.codec() == static_cast<std::uint32_t>(Codec::kRaw);
  if (raw ? chunk.stored_size() != chunk.raw_size()
          : chunk.stored_size() == 0 || chunk.stored_size() >= chunk.raw_size()) {
    return invalid(name() + " has an impossible stored size");
  }
  if (chunk.file() > static_cast<std::uint32_t>(manifest_.parents_size()))
    return invalid(name() + " is in a parent that is not there");
  const std::uint64_t end = chunk.file() == 0 ? data_end_ : kMaxFileOffset;
  if (chunk.offset() < sizeof(Header) || chunk.offset() > end ||
      chunk.stored_size() > end - chunk.offset()) {
    return invalid(name() + " lies outside the file");
  }
  return {};
}

Status ChunkValidator::check_runs(const ChunkRecord& chunk) const {
  const int count = chunk.run_begin_size();
  if (count == 0 || count != chunk.run_length_size())
    return invalid(name() + " has no proper runs");
  const bool skips = chunk.run_skip_size() != 0;
  if (skips && (chunk.file() == 0 || chunk.run_skip_size() != count + 1))
    return invalid(name() + " leaves out what it should not");
  std::uint64_t total = 0;
  std::uint64_t previous_end = 0;
  for (int i = 0; i < count; ++i) {
    const std::uint64_t begin = chunk.run_begin(i);
    const std::uint64_t length = chunk.run_length(i);
    if (skips && chunk.run_skip(i) > chunk.raw_size() - total)
      return invalid(name() + " leaves out more than there is");
    if (skips) total += chunk.run_skip(i);
    if (length == 0 || length > chunk.raw_size() - total || begin > kMaxFileOffset ||
        begin % kPageBytes != 0 || begin < previous_end) {
      return invalid(name() + " has runs that are out of order or too long");
    }
    total += length;
    previous_end = begin + length;
    CK_TRY(check_place(chunk.stream(), begin, previous_end));
  }
  const std::uint64_t unused = skips ? chunk.run_skip(count) : 0;
  if (unused != chunk.raw_size() - total) return invalid(name() + " is longer than its runs");
  return {};
}

Status ChunkValidator::check_place(std::uint32_t stream, std::uint64_t begin,
                                   std::uint64_t end) const {
  const StreamId id = StreamId::unpack(stream);
  if (id.kind == StreamId::Kind::kMemory) {
    if (id.index >= static_cast<std::uint32_t>(manifest_.processes_size())) {
      return invalid(name() + " belongs to no process");
    }
    const ProcessRecord& process = manifest_.processes(static_cast<int>(id.index));
    if (end % kPageBytes != 0 || !mapped(process, begin, end)) {
      return invalid(name() + " is not inside the mappings of process " +
                     std::to_string(process.pid()));
    }
    return {};
  }
  if (id.index >= static_cast<std::uint32_t>(manifest_.objects_size())) {
    return invalid(name() + " belongs to no object");
  }
  const ObjectRecord& object = manifest_.objects(static_cast<int>(id.index));
  if (!object.has_content() || end > object.size() ||
      (end % kPageBytes != 0 && end != object.size())) {
    return invalid(name() + " is not inside object " + std::to_string(id.index));
  }
  return {};
}

Status validate_no_overlap(const Manifest& manifest) {
  struct Piece {
    std::uint32_t stream;
    std::uint64_t begin, end;
  };
  std::vector<Piece> pieces;
  std::size_t count = 0;
  for (const ChunkRecord& chunk : manifest.chunks())
    count += static_cast<std::size_t>(chunk.run_begin_size());
  pieces.reserve(count);
  for (const ChunkRecord& chunk : manifest.chunks()) {
    for (int i = 0; i < chunk.run_begin_size(); ++i) {
      pieces.push_back(
          {chunk.stream(), chunk.run_begin(i), chunk.run_begin(i) + chunk.run_length(i)});
    }
  }
  sort_parts(pieces, [](const Piece& a, const Piece& b) {
    return a.stream != b.stream ? a.stream < b.stream : a.begin < b.begin;
  });
  const auto overlap =
      std::adjacent_find(pieces.begin(), pieces.end(), [](const Piece& first, const Piece& second) {
        return first.stream == second.stream && first.end > second.begin;
      });
  if (overlap == pieces.end()) return {};
  char text[64];
  std::snprintf(text, sizeof text, "two chunks hold the bytes at %#" PRIx64,
                std::next(overlap)->begin);
  return invalid(text);
}

}  // namespace ck::image
