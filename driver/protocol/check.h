// Whether what came from outside may be used: each field of each message has a length and a form,
// and a message that breaks one is refused with one line that names it. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "driver/protocol/control.pb.h"
#include "driver/protocol/peer.pb.h"
#include "runtime/base/result.h"

namespace ck::protocol {

inline constexpr int kMostHosts = 4096;
inline constexpr int kMostHandovers = 10000;
inline constexpr int kMostMoves = 10000;
inline constexpr int kMostJobs = 2000;  // of one host, in one list
inline constexpr std::size_t kLongestCommand = 256;
inline constexpr int kMostWords = 8192;  // arguments of a command, variables of an environment
inline constexpr std::size_t kLongestOrder = 512u << 10;  // all of them together
inline constexpr std::size_t kLongestPem = 256u << 10;

Status check(const wire::PeerMessage& message);
Status check(const wire::ControlRequest& request);
Status check(const wire::ControlReply& reply);
Status check(const wire::RunOrder& order);
Status check(const wire::Started& started);

// A host's name in the cluster: letters, digits, '-', '.', '_'; at most 64; no leading '.' or '-'.
Status check_host_name(std::string_view name);
// "host:port", "10.0.0.1:7381", "[fd00::1]:7381".
Status check_address(std::string_view address);

struct Address {
  std::string host;  // without brackets
  std::string port;
};
Result<Address> split_address(std::string_view address);

}  // namespace ck::protocol
