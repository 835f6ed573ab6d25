// What this host tells others of itself. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "driver/protocol/peer.pb.h"
#include "runtime/base/result.h"

namespace ck::daemon {

Result<protocol::wire::HostReport> report_host(const std::string& name);

// Parts of it, pure.
struct Memory {
  std::uint64_t bytes = 0;
  std::uint64_t free_bytes = 0;
};
Result<Memory> parse_meminfo(std::string_view text);
struct Load {
  double one = 0, five = 0, fifteen = 0;
};
Result<Load> parse_loadavg(std::string_view text);
// Supervisors of jobs, by the names of their control sockets in /proc/net/unix.
unsigned count_supervisors(std::string_view net_unix);

}  // namespace ck::daemon
