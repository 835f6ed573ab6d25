// What becomes of TCP connections that lead outside of the job. Any thread.
#pragma once

namespace ck::resources {

enum class TcpPolicy {
  kReset,   // after a restart the program sees them reset
  kRefuse,  // no checkpoint while there are any
  kRepair,  // they go on after a restart; needs CAP_NET_ADMIN
};

}  // namespace ck::resources
