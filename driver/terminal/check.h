// Whether what the other end of a terminal says may be used. Pure; any thread.
#pragma once

#include <cstdint>

#include "driver/terminal/terminal.pb.h"
#include "runtime/base/result.h"

namespace ck::driver::terminal {

inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::size_t kSessionBytes = 16;
inline constexpr std::size_t kLongestPiece = 64u << 10;
inline constexpr std::size_t kLongestText = 8192;
inline constexpr std::uint32_t kLongestFrame = kLongestPiece + (1u << 10);

Status check(const wire::Message& message);

}  // namespace ck::driver::terminal
