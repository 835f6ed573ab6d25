// The frames of the control socket, and its name. Any thread.
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cstdint>
#include <string>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/job/control.pb.h"

namespace ck::job {

inline constexpr std::uint32_t kProtocolVersion = 2;
inline constexpr std::uint32_t kLongestFrame = 64 * 1024;
using FrameHeader = std::array<unsigned char, 4>;

// Length of the message that follows; an Error if it is 0 or over kLongestFrame.
Result<std::uint32_t> frame_length(const FrameHeader& header);
std::string make_frame(const std::string& message);

wire::Reply failure_reply(const Error& error);
Error error_of(const wire::Failure& failure);

// The abstract UNIX socket of a supervisor: named from its pid and its pid namespace, so that
// whoever knows the pid finds it, and two containers do not collide. Starts with a NUL.
std::string socket_name(std::uint64_t pid_namespace, RealPid supervisor);
// The length is returned in `size`.
sockaddr_un socket_address(const std::string& name, socklen_t* size);

}  // namespace ck::job
