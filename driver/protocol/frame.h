// Frames: how messages of peers and of ckpt are cut from a stream of bytes, and the limits that
// hold for them. Pure; any thread.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>

#include "driver/protocol/control.pb.h"
#include "driver/protocol/peer.pb.h"
#include "runtime/base/result.h"

namespace ck::protocol {

inline constexpr std::uint32_t kPeerVersion = 1;
inline constexpr std::uint32_t kControlVersion = 1;

using FrameHeader = std::array<unsigned char, 4>;

// Bytes of a message, without the header. Before a peer has said who it is, it may send little.
inline constexpr std::uint32_t kLongestHello = 4u << 10;
inline constexpr std::uint32_t kLongestMessage = 1u << 20;
// ckd's reply to ckpt, who trusts it, holds the messages of many peers.
inline constexpr std::uint32_t kLongestControlReply = 256u << 20;

// Length of the message that follows; an Error if it is 0 or over `limit`.
Result<std::uint32_t> frame_length(const FrameHeader& header, std::uint32_t limit);

// Header and message. An Error if the message is over `limit`: the other end would refuse it.
Result<std::string> make_frame(const google::protobuf::MessageLite& message,
                               std::uint32_t limit = kLongestMessage);

// Bytes to a message that check() has passed.
Result<wire::PeerMessage> parse_peer_message(const std::string& bytes);
Result<wire::ControlRequest> parse_control_request(const std::string& bytes);
Result<wire::ControlReply> parse_control_reply(const std::string& bytes);

wire::Refusal refusal_of(const Error& error);
// Foreign text: control characters become '?'.
Error error_of(const wire::Refusal& refusal);

}  // namespace ck::protocol
