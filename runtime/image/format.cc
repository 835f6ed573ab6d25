#include "runtime/image/format.h"

#include <xxhash.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>

namespace ck::image {

namespace {

std::uint64_t seal(const void* bytes, std::size_t size, const char (&magic)[8]) {
  std::uint64_t seed;
  std::memcpy(&seed, magic, sizeof seed);
  return XXH3_64bits_withSeed(bytes, size, seed);
}

std::uint64_t seal(const Header& header) {
  return seal(&header, offsetof(Header, hash), kHeaderMagic);
}

std::uint64_t seal(const Footer& footer) {
  return seal(&footer, offsetof(Footer, hash), kFooterMagic);
}

Error bad(std::string message, std::string hint = {}) {
  return make_error(ErrorKind::kBadImage, std::move(message), std::move(hint));
}

constexpr char kTryOlder[] = "an earlier generation may still be whole: ckpt verify tells";

}  // namespace

Hash128 hash128(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

Header make_header(std::uint32_t flags) {
  Header header{};
  std::memcpy(header.magic, kHeaderMagic, sizeof header.magic);
  header.version = kFormatVersion;
  header.flags = flags;
  header.byte_order = kByteOrder;
  header.arch = kArchX86_64;
  header.hash = seal(header);
  return header;
}

Footer make_footer(std::uint64_t manifest_offset, std::uint64_t manifest_size,
                   Hash128 manifest_hash) {
  Footer footer{};
  footer.manifest_offset = manifest_offset;
  footer.manifest_size = manifest_size;
  footer.manifest_hash = manifest_hash;
  footer.file_size = manifest_offset + manifest_size + sizeof(Footer);
  footer.hash = seal(footer);
  std::memcpy(footer.magic, kFooterMagic, sizeof footer.magic);
  return footer;
}

Status check_header(const Header& header, const std::string& path) {
  if (std::memcmp(header.magic, kHeaderMagic, sizeof header.magic) != 0) {
    return bad(path + " is not a ckrun image");
  }
  if (header.byte_order != kByteOrder && header.byte_order != __builtin_bswap32(kByteOrder)) {
    return bad("the header of " + path + " is damaged", kTryOlder);
  }
  if (header.byte_order == __builtin_bswap32(kByteOrder)) {
    return bad(path + " was written on a machine of the other byte order");
  }
  if (header.version > kFormatVersion) {
    return bad(path + " was written by a newer version of ckrun: format " +
                   std::to_string(header.version) + ", this one reads up to " +
                   std::to_string(kFormatVersion),
               "use a ckrun at least as new as the one that wrote it");
  }
  if (header.hash != seal(header) || header.version == 0) {
    return bad("the header of " + path + " is damaged", kTryOlder);
  }
  if ((header.flags & ~kFlagIncremental) != 0) {
    return bad(path + " uses features that this version of ckrun does not know",
               "use a ckrun at least as new as the one that wrote it");
  }
  if (header.arch != kArchX86_64) return bad(path + " was written on another architecture");
  return {};
}

Status check_footer(const Footer& footer, std::uint64_t file_size, const std::string& path) {
  if (std::memcmp(footer.magic, kFooterMagic, sizeof footer.magic) != 0) {
    return bad(path + " is truncated: its end is missing", kTryOlder);
  }
  if (footer.hash != seal(footer)) return bad("the footer of " + path + " is damaged", kTryOlder);
  if (footer.file_size != file_size) {
    return bad(path + " has lost or gained bytes: " + std::to_string(file_size) +
                   " bytes long, should be " + std::to_string(footer.file_size),
               kTryOlder);
  }
  if (footer.manifest_size > kMaxManifestBytes) {
    return bad("the manifest of " + path +
               " is larger than this version of ckrun reads: " + human_bytes(footer.manifest_size));
  }
  const std::uint64_t end = file_size - sizeof(Footer);
  if (footer.manifest_offset < sizeof(Header) || footer.manifest_offset > end ||
      footer.manifest_size != end - footer.manifest_offset) {
    return bad("the footer of " + path + " is damaged: no manifest where it points", kTryOlder);
  }
  return {};
}

std::string parent_name(Hash128 manifest_hash) {
  char text[64];
  std::snprintf(text, sizeof text, "%s%016" PRIx64 "%016" PRIx64 ".ckpt", kParentPrefix,
                manifest_hash.high, manifest_hash.low);
  return text;
}

std::string human_bytes(std::uint64_t bytes) {
  if (bytes < 1024) return std::to_string(bytes) + " B";
  const char* const units[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  double value = static_cast<double>(bytes) / 1024;
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < std::size(units)) {
    value /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, "%.1f %s", value, units[unit]);
  return text;
}

}  // namespace ck::image
