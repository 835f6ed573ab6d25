// TCP connections to outside of the job that survive a restart: what this end knows of the
// connection is read from the socket and set in another one (TCP_REPAIR, Linux 3.5 and later;
// described in linux/tcp.h only), while the firewall drops what the other end sends, which it sends
// again later. The other end sees a pause. Needs CAP_NET_ADMIN. Engine only.
#pragma once

#include <string>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/resources/states.pb.h"

namespace ck::resources {

// Connections that stand still since their state was captured.
class HeldConnections {
 public:
  // `job`: its id, from which the firewall's table has its name.
  explicit HeldConnections(const std::string& job);
  HeldConnections(const HeldConnections&) = delete;
  HeldConnections& operator=(const HeldConnections&) = delete;
  ~HeldConnections() { release(); }

  // Holds the established connection of `fd` and fills state.repair and state.unread; state has the
  // addresses already.
  Status hold(int fd, InetState& state);
  // They go on.
  void release();
  // The job ends, and they wait for its restart: no process's end ends them.
  void keep() { sockets_.clear(); }

 private:
  std::string table_;
  std::vector<UniqueFd> sockets_;
};

// Connections that were made again and do not live yet.
class RepairedConnections {
 public:
  // Makes `fd`, a new socket, the end of the connection.
  Status add(int fd, const InetState& state);
  // They live, and what waited to be sent is sent. The last thing before the program goes on.
  Status revive();

 private:
  struct Waiting {
    UniqueFd fd;
    std::string unsent;
  };
  std::vector<Waiting> sockets_;
  std::vector<std::string> tables_;
};

}  // namespace ck::resources
