// The XSAVE image of a signal frame, in the standard format: what the kernel adds to it so that
// rt_sigreturn(2) takes it back. Pure; any thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace ck::proc {

inline constexpr std::size_t kXstateLegacyBytes = 512;  // FXSAVE area; the header follows
inline constexpr std::size_t kXstateMinBytes = 576;     // legacy area and header
// Within the legacy area. In the regset NT_X86_XSTATE the same place holds XCR0.
inline constexpr std::size_t kXstateSoftwareOffset = 464;
inline constexpr std::size_t kXstateTailBytes = 4;  // a second magic number, behind the image

// Marks the first `size` bytes of `frame` as an image of the components in `features`. `frame` has
// room for the tail.
void seal_xstate(std::span<std::byte> frame, std::uint32_t size, std::uint64_t features);

}  // namespace ck::proc
