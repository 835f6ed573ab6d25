// What the image fuzzer takes as input: either a whole file, or the parts of one, so that mutations
// reach what lies behind the checksums.
//
//   byte 0      0: the rest is a file as it is; else parts:
//   bytes 1–4   how many bytes of chunks follow (little-endian); then a serialised Manifest
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace ck::fuzz {

inline constexpr std::size_t kPartsHead = 5;

// An image file of these parts, its checksums and sizes right wherever the manifest leaves them a
// place. Bytes that are no Manifest are taken for one with a right checksum.
std::string assemble_image(std::span<const std::uint8_t> chunks,
                           std::span<const std::uint8_t> manifest);

// The whole input.
std::string image_of_input(std::span<const std::uint8_t> input);

}  // namespace ck::fuzz
