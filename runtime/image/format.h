// The layout of an image file, version 1. All numbers are little-endian.
//
//   offset 0              Header, 64 bytes
//   from 64               chunks, in any order, with padding between them
//   footer.manifest_...   the manifest: one serialised Manifest message (image.proto)
//   file size - 64        Footer, 64 bytes
//
// A chunk is what one ChunkRecord describes: `stored_size` bytes at `offset`, which are one zstd
// frame (codec 1) or the content as it is (codec 0; such chunks begin at a multiple of 4096, so
// that they can be mapped). The content is that of the record's runs, one after the other. Several
// records may name the same stored bytes. What no run of a stream covers is zero (a hole of an
// object, a page of anonymous memory) or, in a private file mapping, the file's.
//
// ChunkRecord.stream: bit 31 clear: the memory of process `index`, runs are addresses; bit 31 set:
// the content of object `index`, runs are file offsets. See StreamId in writer.h.
//
// An incremental image (kFlagIncremental) refers to chunks of others, its parents, by
// ChunkRecord.file: the manifest names each by the hash of its manifest, and it lies in the same
// folder under parent_name(). Parents of parents are named, too, so that no other file needs to be
// read. Of a parent's chunk some of the content may be of no use any more (run_skip).
//
// Checks: the header and the footer end with an XXH3-64 of their other bytes (seed: the magic), the
// footer holds the manifest's XXH3-128, each ChunkRecord that of its stored bytes. The version
// rises when an older reader would restore something wrong; unknown flags are refused for the same
// reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "runtime/base/result.h"

namespace ck::image {

inline constexpr char kHeaderMagic[8] = {'c', 'k', 'r', 'u', 'n', 'i', 'm', 'g'};
inline constexpr char kFooterMagic[8] = {'c', 'k', 'r', 'u', 'n', 'e', 'n', 'd'};
inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::uint32_t kByteOrder = 0x04030201;
inline constexpr std::uint32_t kArchX86_64 = 62;  // EM_X86_64
inline constexpr std::uint64_t kPageBytes = 4096;
inline constexpr std::uint32_t kFlagIncremental = 1;
inline constexpr int kMaxParents = 64;

// Manifests are read whole. The index of 1 TiB of memory is about 50 MiB.
inline constexpr std::uint64_t kMaxManifestBytes = 512ull << 20;

struct Header {
  char magic[8];
  std::uint32_t version;
  std::uint32_t flags;
  std::uint32_t byte_order;
  std::uint32_t arch;
  std::uint64_t reserved[4];  // 0
  std::uint64_t hash;
};
static_assert(sizeof(Header) == 64);

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
};

struct Footer {
  std::uint64_t manifest_offset;
  std::uint64_t manifest_size;
  Hash128 manifest_hash;
  std::uint64_t file_size;  // footer included
  std::uint64_t reserved;   // 0
  std::uint64_t hash;
  char magic[8];
};
static_assert(sizeof(Footer) == 64);

Hash128 hash128(std::span<const std::byte> bytes);

Header make_header(std::uint32_t flags = 0);
Footer make_footer(std::uint64_t manifest_offset, std::uint64_t manifest_size,
                   Hash128 manifest_hash);

// Each tells in its error what is wrong with `path`. `file_size`: the file's true size.
Status check_header(const Header& header, const std::string& path);
Status check_footer(const Footer& footer, std::uint64_t file_size, const std::string& path);

// The file name of an image that others need, by the hash of its manifest.
std::string parent_name(Hash128 manifest_hash);
inline constexpr char kParentPrefix[] = ".parent-";

// "12.3 MiB", for messages.
std::string human_bytes(std::uint64_t bytes);

}  // namespace ck::image
