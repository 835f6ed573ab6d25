// Packets of single TCP connections are dropped by the host's firewall (nftables) while no socket
// answers for them: the kernel would reset them. Rules are in a table of their own, by name, and
// stay until that is removed. Needs CAP_NET_ADMIN, and libnftables, which is loaded when it is
// first needed. Engine only.
#pragma once

#include <string>

#include "runtime/base/result.h"

namespace ck::resources {

// `local`, `remote`: bytes of a sockaddr, as inet_socket.h has them.
Status stop_traffic(const std::string& table, const std::string& local, const std::string& remote);

// Of all connections of the table. That there is no such table is no error.
Status let_traffic_pass(const std::string& table);

}  // namespace ck::resources
