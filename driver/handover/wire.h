// Messages of a hand-over as they go over the wire, and their checks. What comes from a peer is
// checked here before anything else sees it: a bad message is one Error (kRefused), never a crash.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <string>

#include "driver/handover/handover.h"
#include "driver/handover/handover.pb.h"
#include "runtime/base/result.h"

namespace ck::driver::handover {

inline constexpr std::size_t kIdBytes = 32;          // lower-case hexadecimal digits
inline constexpr std::size_t kLongestName = 255;     // a job's id, a user's name
inline constexpr std::size_t kLongestHost = 64;      // HOST_NAME_MAX
inline constexpr std::size_t kLongestReason = 1024;  // printable, one line
inline constexpr std::size_t kLongestPath = 4095;    // PATH_MAX, without the NUL
inline constexpr int kMostPaths = 4096;
inline constexpr int kMostMaps = 64;
inline constexpr std::size_t kLargestHostRecord = 64u << 10;
// So that the lives that follow can still be counted, and JSON can hold them exactly.
inline constexpr std::uint64_t kHighestCounter = (std::uint64_t{1} << 53) - 8;

Status check(const wire::Token& token);
Status check(const wire::FilesPlan& plan);
Status check(const wire::Needs& needs);
Status check(const wire::Offer& offer);
Status check(const wire::Sealed& sealed);
Status check(const wire::Withdrawn& withdrawn);
Status check(const wire::Taken& taken);
Status check(const wire::Refused& refused);
// The whole, its kind included.
Status check(const wire::Message& message);

// `message` must have passed check().
Message from_wire(const wire::Message& message);
// `message` must hold an Offer that has passed check().
Terms terms_of(const wire::Message& message);

// An Offer without its needs and a Sealed without its image: the caller knows these. A reason is
// made to pass check().
wire::Message to_wire(const Terms& terms, const Message& message);

}  // namespace ck::driver::handover
