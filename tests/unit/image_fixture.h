// What the tests of the image layer share: a scratch folder, sources of bytes, a small job.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "runtime/abi/control_area.h"
#include "runtime/image/format.h"
#include "runtime/image/pieces.h"
#include "runtime/image/reader.h"
#include "runtime/image/writer.h"

namespace ck::image::testing {

class ScratchFolder {
 public:
  ScratchFolder() {
    std::string pattern = std::filesystem::temp_directory_path() / "ckrun-image-XXXXXX";
    path_ = ::mkdtemp(pattern.data());
  }
  ~ScratchFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  std::string file(const std::string& name) const { return path_ + "/" + name; }
  const std::string& path() const { return path_; }
  bool empty() const { return std::filesystem::is_empty(path_); }

 private:
  std::string path_;
};

// Bytes in memory that begin at an address.
class MemorySource final : public ByteSource {
 public:
  MemorySource(std::uint64_t begin, std::vector<std::byte> bytes)
      : begin_(begin), bytes_(std::move(bytes)) {}
  Status read(std::uint64_t offset, std::span<std::byte> into) const override {
    std::memcpy(into.data(), bytes_.data() + (offset - begin_), into.size());
    return {};
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }
  std::uint64_t begin() const { return begin_; }

 private:
  std::uint64_t begin_;
  std::vector<std::byte> bytes_;
};

using Bytes = std::vector<std::byte>;

inline Bytes random_bytes(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  Bytes bytes(size);
  for (std::size_t i = 0; i + 8 <= size; i += 8) {
    const std::uint64_t word = random();
    std::memcpy(bytes.data() + i, &word, 8);
  }
  return bytes;
}

inline Bytes text_bytes(std::size_t size, unsigned seed) {
  std::mt19937_64 random(seed);
  const char* const words[] = {"energy ", "step ", "0.125 ", "atom ", "lattice ", "1024\n"};
  std::string text;
  while (text.size() < size) text += words[random() % 6];
  Bytes bytes(size);
  std::memcpy(bytes.data(), text.data(), size);
  return bytes;
}

// For messages: Boost.Test composes them also when all is well.
template <typename T>
std::string why(const Result<T>& result) {
  return result.ok() ? "" : result.error().text();
}

inline constexpr std::uint64_t kBase = 0x7f0000000000;

// One process with one thread and one anonymous mapping of `bytes` bytes at kBase.
inline Manifest small_job(std::uint64_t bytes) {
  Manifest manifest;
  manifest.set_writer("unit test");
  manifest.mutable_job()->set_id("job-1");
  manifest.mutable_job()->add_command("/bin/prog");
  ProcessRecord& process = *manifest.add_processes();
  process.set_pid(1234);
  process.set_ppid(1);
  process.set_cwd("/tmp/caf\xe9");  // not UTF-8, and a proper path
  ThreadRecord& thread = *process.add_threads();
  thread.set_tid(1234);
  thread.set_frame(std::string(sizeof(abi::SignalFrame), 'f'));
  thread.set_xstate(std::string(2696, 'x'));
  MappingRecord& mapping = *process.add_mappings();
  mapping.set_begin(kBase);
  mapping.set_end(kBase + bytes);
  mapping.set_protection(3);
  return manifest;
}

inline Status add_all(Writer& writer, StreamId stream, const MemorySource& source,
                      ZeroPages zeros = ZeroPages::kLeaveOut) {
  const std::uint64_t end = source.begin() + source.bytes().size();
  for (std::uint64_t at = source.begin(); at < end; at += kChunkBytes) {
    CK_TRY(
        writer.add(stream, source, {{at, std::min<std::uint64_t>(kChunkBytes, end - at)}}, zeros));
  }
  return {};
}

// The image of small_job() whose memory is `bytes`.
inline Result<WriteReport> write_small(const std::string& path, const MemorySource& source,
                                       WriterOptions options = {.threads = 2}) {
  auto writer = CK_TRY(Writer::create(path, options));
  CK_TRY(add_all(*writer, {StreamId::Kind::kMemory, 0}, source));
  CK_TRY(writer->finish_chunks());
  return writer->commit(small_job(source.bytes().size()));
}

// What a stream's chunks say, holes as zeros. Begins at `begin`.
inline Result<Bytes> read_stream(const Reader& reader, StreamId stream, std::uint64_t begin,
                                 std::size_t size) {
  Bytes result(size);
  static Bytes content(kChunkBytes);
  for (int i = 0; i < reader.manifest().chunks_size(); ++i) {
    const ChunkRecord& chunk = reader.manifest().chunks(i);
    if (StreamId::unpack(chunk.stream()) != stream) continue;
    CK_TRY(reader.read_chunk(static_cast<std::size_t>(i), content));
    for (const Piece& piece : pieces_of(chunk))
      std::memcpy(result.data() + (piece.begin - begin), content.data() + piece.at, piece.length);
  }
  return result;
}

inline std::string slurp(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline void spill(const std::string& path, const std::string& bytes) {
  std::filesystem::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
  std::filesystem::permissions(
      path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
}

}  // namespace ck::image::testing
