#include "runtime/job/control_frame.h"

#include <cstddef>
#include <cstring>

namespace ck::job {

Result<std::uint32_t> frame_length(const FrameHeader& header) {
  std::uint32_t length = 0;
  for (unsigned i = 0; i < header.size(); ++i) length |= std::uint32_t{header[i]} << (8 * i);
  if (length == 0 || length > kLongestFrame) {
    return make_error(ErrorKind::kRefused, "a control message has the impossible length of " +
                                               std::to_string(length) + " bytes");
  }
  return length;
}

std::string make_frame(const std::string& message) {
  CK_CHECK(message.size() <= kLongestFrame);
  auto length = static_cast<std::uint32_t>(message.size());
  std::string frame;
  for (unsigned i = 0; i < 4; ++i) frame += static_cast<char>(length >> (8 * i) & 0xff);
  return frame + message;
}

wire::Reply failure_reply(const Error& error) {
  static constexpr std::size_t kLongestText = 8192;
  wire::Reply reply;
  reply.mutable_error()->set_kind(static_cast<int>(error.kind));
  reply.mutable_error()->set_message(error.message.substr(0, kLongestText));
  reply.mutable_error()->set_hint(error.hint.substr(0, kLongestText));
  return reply;
}

Error error_of(const wire::Failure& failure) {
  bool known = failure.kind() >= static_cast<int>(ErrorKind::kUsage) &&
               failure.kind() <= static_cast<int>(ErrorKind::kPermission);
  ErrorKind kind = known ? static_cast<ErrorKind>(failure.kind()) : ErrorKind::kSystem;
  return make_error(kind, failure.message(), failure.hint());
}

std::string socket_name(std::uint64_t pid_namespace, RealPid supervisor) {
  return std::string(1, '\0') + "ckrun-" + std::to_string(pid_namespace) + "-" +
         to_string(supervisor);
}

sockaddr_un socket_address(const std::string& name, socklen_t* size) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  CK_CHECK(name.size() <= sizeof address.sun_path);
  std::memcpy(address.sun_path, name.data(), name.size());
  *size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  return address;
}

}  // namespace ck::job
