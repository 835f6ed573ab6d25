// make_seed IMAGE OUT: an input of the image fuzzer from a real image: its whole manifest but for
// the vdso's code, which has a fuzzer of its own, and a few of the chunks with another content.
#include <zstd.h>

#include <cstdio>
#include <fstream>

#include "runtime/image/format.h"
#include "runtime/image/reader.h"
#include "tests/fuzz/image_input.h"

namespace {

constexpr std::uint64_t kMostContent = 65536;
constexpr int kMostChunks = 3;
constexpr std::size_t kVdsoHead = 64;

std::string compress(const std::string& content) {
  std::string frame(ZSTD_compressBound(content.size()), '\0');
  frame.resize(ZSTD_compress(frame.data(), frame.size(), content.data(), content.size(), 1));
  return frame;
}

int make_seed(const ck::image::Reader& reader, const char* to) {
  ck::image::Manifest manifest = reader.manifest();
  manifest.clear_chunks();
  for (ck::image::ProcessRecord& process : *manifest.mutable_processes())
    process.mutable_vdso()->mutable_content()->resize(kVdsoHead);
  std::string chunks;
  for (const ck::image::ChunkRecord& chunk : reader.manifest().chunks()) {
    if (chunk.raw_size() > kMostContent || manifest.chunks_size() == kMostChunks) continue;
    if (chunk.codec() == 0) continue;  // has to begin at a page
    const std::string stored = compress(std::string(chunk.raw_size(), 'c'));
    ck::image::ChunkRecord& kept = *manifest.add_chunks();
    kept = chunk;
    kept.set_offset(sizeof(ck::image::Header) + chunks.size());
    kept.set_stored_size(stored.size());
    chunks += stored;
  }
  const std::uint32_t bytes = static_cast<std::uint32_t>(chunks.size());
  std::ofstream out(to, std::ios::binary);
  out.put('\1').write(reinterpret_cast<const char*>(&bytes), sizeof bytes);
  out << chunks << manifest.SerializeAsString();
  return out.flush() ? 0 : 1;
}

}  // namespace

int main(int count, char** words) {
  if (count != 3) return 64;
  const auto reader = ck::image::Reader::open(words[1], false);
  if (!reader.ok()) {
    std::fprintf(stderr, "make_seed: %s\n", reader.error().text().c_str());
    return 65;
  }
  return make_seed(**reader, words[2]);
}
