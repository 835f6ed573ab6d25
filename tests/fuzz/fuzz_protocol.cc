// Fuzzes what daemons and ckpt say to each other: damaged or ill-meant messages are refused, and
// what is accepted can be sent on and is accepted again as it was.
#include <stdlib.h>

#include <cctype>
#include <cstdint>
#include <cstring>
#include <string>

#include "driver/protocol/frame.h"

namespace {

using namespace ck::protocol;

void require(bool condition) {
  if (!condition) ::abort();
}

template <typename Message>
void read(ck::Result<Message> (*parse)(const std::string&), const std::string& bytes,
          std::uint32_t limit) {
  const ck::Result<Message> message = parse(bytes);
  if (!message.ok()) return;
  const ck::Result<std::string> frame = make_frame(*message, limit);
  FrameHeader header;
  if (!frame.ok()) return;  // it says nothing: a peer that sends such is refused by its length
  std::memcpy(header.data(), frame->data(), header.size());
  const ck::Result<std::uint32_t> length = frame_length(header, limit);
  require(length.ok() && *length == frame->size() - header.size());
  const ck::Result<Message> again = parse(frame->substr(header.size()));
  require(again.ok() && again->SerializeAsString() == message->SerializeAsString());
}

void read_refusal(const std::string& bytes) {
  wire::Refusal refusal;
  if (!refusal.ParseFromString(bytes)) return;
  for (const char c : error_of(refusal).text())
    require(!std::iscntrl(static_cast<unsigned char>(c)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      read(&parse_peer_message, bytes, kLongestMessage);
      break;
    case 1:
      read(&parse_control_request, bytes, kLongestMessage);
      break;
    case 2:
      read(&parse_control_reply, bytes, kLongestControlReply);
      break;
    default:
      read_refusal(bytes);
  }
  return 0;
}
