#include "tests/fuzz/image_input.h"

#include <algorithm>
#include <cstring>

#include "runtime/image/format.h"
#include "runtime/image/image.pb.h"

namespace ck::fuzz {

namespace {

std::string_view text(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

image::Hash128 hash(std::string_view bytes) {
  return image::hash128(std::as_bytes(std::span(bytes.data(), bytes.size())));
}

template <typename T>
void append(std::string& file, const T& part) {
  file.append(reinterpret_cast<const char*>(&part), sizeof part);
}

// The stored bytes of every chunk that lies within the file get their checksum.
std::string with_checksums(std::string_view bytes, std::string_view file) {
  image::Manifest manifest;
  if (!manifest.ParseFromArray(bytes.data(), static_cast<int>(bytes.size())))
    return std::string(bytes);
  for (image::ChunkRecord& chunk : *manifest.mutable_chunks()) {
    if (chunk.offset() > file.size() || chunk.stored_size() > file.size() - chunk.offset())
      continue;
    const image::Hash128 right = hash(file.substr(chunk.offset(), chunk.stored_size()));
    chunk.set_hash_low(right.low);
    chunk.set_hash_high(right.high);
  }
  return manifest.SerializeAsString();
}

}  // namespace

std::string assemble_image(std::span<const std::uint8_t> chunks,
                           std::span<const std::uint8_t> manifest) {
  std::string file;
  append(file, image::make_header());
  file += text(chunks);
  const std::uint64_t offset = file.size();
  const std::string message = with_checksums(text(manifest), file);
  file += message;
  append(file, image::make_footer(offset, message.size(), hash(message)));
  return file;
}

std::string image_of_input(std::span<const std::uint8_t> input) {
  if (input.empty() || input[0] == 0) return std::string(text(input.subspan(!input.empty())));
  std::uint32_t chunk_bytes = 0;
  if (input.size() < kPartsHead) return {};
  std::memcpy(&chunk_bytes, input.data() + 1, sizeof chunk_bytes);
  input = input.subspan(kPartsHead);
  const std::size_t here = std::min<std::size_t>(chunk_bytes, input.size());
  return assemble_image(input.first(here), input.subspan(here));
}

}  // namespace ck::fuzz
