#include "driver/protocol/frame.h"

#include "driver/protocol/check.h"

namespace ck::protocol {
namespace {

constexpr std::size_t kLongestText = 8192;

template <typename Message>
Result<Message> parse(const std::string& bytes) {
  Message message;
  if (!message.ParseFromString(bytes)) {
    return make_error(ErrorKind::kRefused, "a message is damaged");
  }
  CK_TRY(check(message));
  return message;
}

std::string one_line(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return text;
}

}  // namespace

Result<std::uint32_t> frame_length(const FrameHeader& header, std::uint32_t limit) {
  std::uint32_t length = 0;
  for (unsigned i = 0; i < header.size(); ++i) length |= std::uint32_t{header[i]} << (8 * i);
  if (length == 0) return make_error(ErrorKind::kRefused, "a message is empty");
  if (length > limit) {
    return make_error(ErrorKind::kRefused, "a message of " + std::to_string(length) +
                                               " bytes is over the limit of " +
                                               std::to_string(limit));
  }
  return length;
}

Result<std::string> make_frame(const google::protobuf::MessageLite& message, std::uint32_t limit) {
  std::string body = message.SerializeAsString();
  if (body.size() > limit) {
    return make_error(ErrorKind::kRefused, "an answer of " + std::to_string(body.size()) +
                                               " bytes is over the limit of " +
                                               std::to_string(limit));
  }
  std::string frame;
  frame.reserve(4 + body.size());
  for (unsigned i = 0; i < 4; ++i) frame += static_cast<char>(body.size() >> (8 * i) & 0xff);
  return frame + body;
}

Result<wire::PeerMessage> parse_peer_message(const std::string& bytes) {
  return parse<wire::PeerMessage>(bytes);
}

Result<wire::ControlRequest> parse_control_request(const std::string& bytes) {
  return parse<wire::ControlRequest>(bytes);
}

Result<wire::ControlReply> parse_control_reply(const std::string& bytes) {
  return parse<wire::ControlReply>(bytes);
}

wire::Refusal refusal_of(const Error& error) {
  wire::Refusal refusal;
  refusal.set_kind(static_cast<int>(error.kind));
  refusal.set_message(error.message.empty() ? "refused" : error.message.substr(0, kLongestText));
  refusal.set_hint(error.hint.substr(0, kLongestText));
  return refusal;
}

Error error_of(const wire::Refusal& refusal) {
  bool known = refusal.kind() >= static_cast<int>(ErrorKind::kUsage) &&
               refusal.kind() <= static_cast<int>(ErrorKind::kPermission);
  ErrorKind kind = known ? static_cast<ErrorKind>(refusal.kind()) : ErrorKind::kSystem;
  return make_error(kind, one_line(refusal.message()), one_line(refusal.hint()));
}

}  // namespace ck::protocol
