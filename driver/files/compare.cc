#include "driver/files/compare.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <map>

#include "runtime/image/pieces.h"
#include "runtime/memory/file_content.h"

namespace ck::driver::files {
namespace {

constexpr std::size_t kPiece = 256u << 10;

Result<bool> has_bytes(int fd, std::uint64_t offset, std::span<const std::byte> wanted) {
  std::vector<std::byte> found(wanted.size());
  const memory::FileSource source(fd);
  const Status read = source.read(offset, found);
  if (!read.ok() && read.error().kind == ErrorKind::kTryAgain) return false;  // it is too short
  if (!read.ok()) return read.error();
  return std::memcmp(found.data(), wanted.data(), wanted.size()) == 0;
}

// Where the bundle has nothing there were zeros, or a hole.
Result<bool> has_zeros(int fd, std::uint64_t begin, std::uint64_t end) {
  const std::vector<std::byte> zeros(std::min<std::uint64_t>(kPiece, end - begin));
  for (std::uint64_t at = begin; at < end; at += kPiece) {
    const std::size_t size = std::min<std::uint64_t>(kPiece, end - at);
    if (!CK_TRY(has_bytes(fd, at, std::span(zeros).first(size)))) return false;
  }
  return true;
}

}  // namespace

Contents::Contents(const image::Reader& bundle) : bundle_(bundle) {
  const image::Manifest& manifest = bundle.manifest();
  chunks_.resize(static_cast<std::size_t>(manifest.objects_size()));
  for (int i = 0; i < manifest.chunks_size(); ++i) {
    const auto stream = image::StreamId::unpack(manifest.chunks(i).stream());
    if (stream.kind == image::StreamId::Kind::kObject && stream.index < chunks_.size())
      chunks_[stream.index].push_back(i);
  }
}

// Calls `use(offset, bytes)` for each piece that is not zeros, in any order.
template <typename Use>
Status Contents::each(std::uint32_t object, Use use) const {
  const image::Manifest& manifest = bundle_.manifest();
  std::vector<std::byte> content(image::kChunkBytes);
  for (const int index : chunks_[object - 1]) {
    const image::ChunkRecord& chunk = manifest.chunks(index);
    const std::span<std::byte> bytes = std::span(content).first(chunk.raw_size());
    CK_TRY(bundle_.read_chunk(static_cast<std::size_t>(index), bytes));
    for (const image::Piece& piece : image::pieces_of(chunk))
      CK_TRY(use(piece.begin, bytes.subspan(piece.at, piece.length)));
  }
  return {};
}

// Where the bundle has nothing there are zeros.
Result<bool> Contents::equals(std::uint32_t object, int fd, const std::string& path) const {
  const std::uint64_t size = bundle_.manifest().objects(static_cast<int>(object) - 1).size();
  struct stat status {};
  if (::fstat(fd, &status) != 0) return sys_error("look at " + path);
  if (static_cast<std::uint64_t>(status.st_size) != size) return false;
  bool equal = true;
  std::map<std::uint64_t, std::uint64_t> pieces;
  CK_TRY(each(object, [&](std::uint64_t offset, std::span<const std::byte> bytes) -> Status {
    pieces[offset] = bytes.size();
    if (equal) equal = CK_TRY(has_bytes(fd, offset, bytes));
    return {};
  }));
  std::uint64_t done = 0;
  for (const auto& [begin, length] : pieces) {
    equal = equal && CK_TRY(has_zeros(fd, done, std::max(done, begin)));
    done = begin + length;
  }
  return equal && CK_TRY(has_zeros(fd, done, std::max(done, size)));
}

Status Contents::read(std::uint32_t object, std::span<std::byte> into) const {
  return each(object, [&](std::uint64_t offset, std::span<const std::byte> bytes) -> Status {
    if (offset > into.size() || bytes.size() > into.size() - offset)
      return make_error(ErrorKind::kBadImage, "a bundle holds more of a file than its size");
    std::memcpy(into.data() + offset, bytes.data(), bytes.size());
    return {};
  });
}

Status Contents::write(std::uint32_t object, int fd, const std::string& path) const {
  const std::uint64_t size = bundle_.manifest().objects(static_cast<int>(object) - 1).size();
  if (::ftruncate(fd, static_cast<off_t>(size)) != 0) return sys_error("make " + path);
  Status written = each(object, [&](std::uint64_t offset, std::span<const std::byte> bytes) {
    return memory::write_at(fd, offset, bytes);
  });
  if (!written.ok()) return std::move(written).error().within("write " + path);
  // Only a hint: it is made sure later, when the job stands still.
  ::sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE);
  return {};
}

}  // namespace ck::driver::files
