// What TCP and UDP sockets have in common: addresses and options. Engine only.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <string>

#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/socket_options.h"
#include "runtime/resources/states.pb.h"

#ifndef IP_LOCAL_PORT_RANGE
#define IP_LOCAL_PORT_RANGE 51
#endif

namespace ck::resources {

// The bytes of a sockaddr; empty: none.
std::string local_address(int fd);  // also empty if neither address nor port is set
std::string remote_address(int fd);
sockaddr_storage to_sockaddr(const std::string& address);
std::string address_text(const std::string& address);
// Equal for an IPv4 address and its form in IPv6.
std::string address_key(const std::string& address);
std::string connection_key(const std::string& local, const std::string& remote);
std::string loopback(int family);  // port 0
bool is_any(const std::string& address);
bool is_multicast(const std::string& address);
// The address with another's port.
std::string with_port_of(const std::string& address, const std::string& other);
// Whether it is one of this host.
bool is_local(const std::string& address);

// Of the two families; those of the protocol come from its own table.
void capture_ip_options(int fd, SocketOptions& options);

// A new socket with the record's options. Non-blocking.
Result<UniqueFd> make_inet_socket(RestoreSession& session, const InetState& state);
// An Error with EADDRINUSE: another socket there forbids it, perhaps one in TIME_WAIT.
Status bind_inet(int fd, const std::string& address);
// The same for a socket that is about to connect: it gets the port then, which only a connection
// of the same two addresses forbids. Before Linux 6.3 it gets any port.
Status bind_when_connected(int fd, const std::string& address);

// Filters, and what else makes a socket more than its kind tells.
Status check_inet(const OpenFile& file);

// Hands a socket of ours over; its flags are set when all content is in place.
Result<Restored> hand_over(RestoreSession& session, UniqueFd fd,
                           const image::OpenFileRecord& record);

}  // namespace ck::resources
