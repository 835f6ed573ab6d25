#include "runtime/image/basis.h"

#include <algorithm>
#include <map>

#include "runtime/base/sort_parts.h"
#include "runtime/image/generations.h"
#include "runtime/image/pieces.h"

namespace ck::image {

namespace {

constexpr std::size_t kMostContents = 100'000;  // memory is bounded

Hash128 content_hash(const ChunkRecord& chunk) {
  if (chunk.codec() == static_cast<std::uint32_t>(Codec::kRaw))
    return {chunk.hash_low(), chunk.hash_high()};
  return {chunk.content_low(), chunk.content_high()};
}

// The chunk with those pieces of it alone.
ChunkRecord cut(const ChunkRecord& chunk, StreamId as, const std::vector<Piece>& pieces) {
  ChunkRecord record = chunk;
  record.set_stream(as.packed());
  record.set_file(chunk.file() + 1);
  record.clear_run_begin();
  record.clear_run_length();
  record.clear_run_skip();
  std::uint64_t at = 0;
  for (const Piece& piece : pieces) {
    record.add_run_skip(piece.at - at);
    record.add_run_begin(piece.begin);
    record.add_run_length(piece.length);
    at = piece.at + piece.length;
  }
  record.add_run_skip(chunk.raw_size() - at);
  const auto& skips = record.run_skip();
  if (std::all_of(skips.begin(), skips.end(), [](std::uint64_t skip) { return skip == 0; }))
    record.clear_run_skip();
  return record;
}

}  // namespace

Result<std::shared_ptr<const Basis>> Basis::load(const std::string& path) {
  std::shared_ptr<Basis> basis(new Basis);
  basis->reader_ = CK_TRY(Reader::open(path, true));
  basis->hash_ = basis->reader_->manifest_hash();
  if (basis->manifest().parents_size() >= kMaxParents)
    return make_error(ErrorKind::kRefused, path + " has too many parents to be one itself");
  for (int i = 0; i < basis->manifest().chunks_size(); ++i) basis->take(i);
  for (auto& [stream, places] : basis->places_)
    sort_parts(places, [](const Place& a, const Place& b) { return a.begin < b.begin; });
  return std::shared_ptr<const Basis>(std::move(basis));
}

void Basis::take(int index) {
  const ChunkRecord& chunk = manifest().chunks(index);
  const Hash128 content = content_hash(chunk);
  if (content != Hash128{} && by_content_.size() < kMostContents)
    by_content_.emplace(ChunkKey{content, chunk.raw_size()}, index);
  std::vector<Place>& places = places_[chunk.stream()];
  for (const Piece& piece : pieces_of(chunk))
    places.push_back({piece.begin, piece.begin + piece.length, piece.at, index});
}

std::vector<ParentRecord> Basis::parents() const {
  std::vector<ParentRecord> parents(1);
  parents[0].set_generation(manifest().job().generation());
  parents[0].set_hash_low(hash_.low);
  parents[0].set_hash_high(hash_.high);
  parents.insert(parents.end(), manifest().parents().begin(), manifest().parents().end());
  return parents;
}

Status Basis::link_into(const std::string& folder) const {
  CK_TRY(link_file(reader_->fd(), folder + "/" + parent_name(hash_)));
  return link_parents(*reader_, folder);
}

std::optional<StoredChunk> Basis::find(Hash128 content, std::uint32_t size) const {
  const auto found = by_content_.find({content, size});
  if (found == by_content_.end()) return std::nullopt;
  const ChunkRecord& chunk = manifest().chunks(found->second);
  return StoredChunk{chunk.offset(),
                     chunk.stored_size(),
                     static_cast<Codec>(chunk.codec()),
                     {chunk.hash_low(), chunk.hash_high()},
                     chunk.file() + 1};
}

std::vector<ChunkRecord> Basis::records(StreamId stream, const std::vector<Run>& runs,
                                        StreamId as) const {
  const auto found = places_.find(stream.packed());
  if (found == places_.end()) return {};
  std::map<int, std::vector<Piece>> pieces;
  auto place = found->second.begin();
  for (const Run& run : runs) {
    const std::uint64_t end = run.begin + run.length;
    while (place != found->second.end() && place->end <= run.begin) ++place;
    for (auto next = place; next != found->second.end() && next->begin < end; ++next) {
      const std::uint64_t from = std::max(next->begin, run.begin);
      const std::uint64_t to = std::min(next->end, end);
      pieces[next->chunk].push_back({from, to - from, next->at + (from - next->begin)});
    }
  }
  std::vector<ChunkRecord> records;
  records.reserve(pieces.size());
  for (const auto& [chunk, of_chunk] : pieces)
    records.push_back(cut(manifest().chunks(chunk), as, of_chunk));
  return records;
}

}  // namespace ck::image
