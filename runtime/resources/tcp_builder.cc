#include "runtime/resources/tcp_builder.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <chrono>
#include <map>

#include "runtime/resources/inet_socket.h"
#include "runtime/resources/table.h"
#include "runtime/resources/tcp_queues.h"
#include "runtime/resources/tcp_repair.h"

namespace ck::resources {
namespace {

using std::chrono::steady_clock;
// The kernel lets an address pair in TIME_WAIT be used again after a second (tcp_tw_reuse).
constexpr std::chrono::seconds kTimeWait{3};
constexpr std::chrono::seconds kPatience{10};

struct Socket {
  InetState state;
  UniqueFd fd;
};

Status wait_for(int fd, short event, const char* what) {
  pollfd one{fd, event, 0};
  if (::poll(&one, 1, static_cast<int>(std::chrono::milliseconds(kPatience).count())) == 1)
    return {};
  return make_error(ErrorKind::kSystem, std::string(what) + " took too long");
}

// errno, or 0 when it is connected.
Result<int> try_connect(int fd, const std::string& address) {
  const sockaddr_storage to = to_sockaddr(address);
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to),
                static_cast<socklen_t>(address.size())) == 0)
    return 0;
  if (errno != EINPROGRESS) return errno;
  CK_TRY(wait_for(fd, POLLOUT, "connecting a socket"));
  return int_option(fd, SOL_SOCKET, SO_ERROR);
}

// Somebody else may connect meanwhile: they are turned away.
Result<UniqueFd> accept_from(int listener, const std::string& client) {
  for (;;) {
    CK_TRY(wait_for(listener, POLLIN, "accepting a connection"));
    UniqueFd fd(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!fd && errno != EAGAIN && errno != ECONNABORTED) return sys_error("accept a connection");
    if (fd && address_key(remote_address(fd.get())) == address_key(client)) return fd;
  }
}

void abort_connection(UniqueFd fd) {
  const linger at_once{1, 0};
  ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
}

class Builder {
 public:
  explicit Builder(RestoreSession& session) : session_(session) {
    for (const auto& record : session.manifest.open_files()) {
      InetState state;
      if (record.kind() == kTcpSocket.name && state.ParseFromString(record.state()))
        sockets_[state.id()].state = std::move(state);
    }
  }

  Status build() {
    for (auto& [id, socket] : sockets_)
      if (socket.state.phase() == InetState::CONNECTED && !socket.fd)
        CK_TRY(make_connection(socket));
    for (auto phase : {InetState::LISTENING, InetState::WAITING, InetState::UNCONNECTED,
                       InetState::CONNECTING, InetState::RESET, InetState::REPAIR}) {
      for (auto& [id, socket] : sockets_)
        if (socket.state.phase() == phase) CK_TRY(make(socket));
    }
    for (auto& [id, socket] : sockets_) CK_TRY(set_final_options(socket));
    for (auto& [id, socket] : sockets_) CK_TRY(fill(socket));
    for (auto& [id, socket] : sockets_) shut_down(socket);
    for (auto& [id, socket] : sockets_) session_.tcp_sockets[id] = std::move(socket.fd);
    return {};
  }

 private:
  Socket* peer_of(const Socket& socket) {
    auto found = sockets_.find(socket.state.peer());
    return socket.state.peer() == 0 || found == sockets_.end() ? nullptr : &found->second;
  }

  // With the record's options, at its address, which others may have too.
  Result<UniqueFd> make_bound(const InetState& state) {
    UniqueFd fd = CK_TRY(make_inet_socket(session_, state));
    if (state.local().empty()) return fd;
    const int reuse = int_option(fd.get(), SOL_SOCKET, SO_REUSEADDR);
    set_int_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    CK_TRY(bind_inet(fd.get(), state.local()));
    if (state.phase() == InetState::UNCONNECTED)
      set_int_option(fd.get(), SOL_SOCKET, SO_REUSEADDR, reuse);
    return fd;
  }

  // The program may have closed a connection from that port without having set SO_REUSEADDR: that
  // connection, in TIME_WAIT, keeps a socket from being bound there.
  Result<UniqueFd> make_connecting(const InetState& state) {
    Result<UniqueFd> bound = make_bound(state);
    if (bound.ok() || bound.error().errnum != EADDRINUSE) return bound;
    UniqueFd fd = CK_TRY(make_inet_socket(session_, state));
    CK_TRY(bind_when_connected(fd.get(), state.local()));
    return fd;
  }

  // Nothing if the address pair is in TIME_WAIT on this side.
  Result<std::optional<UniqueFd>> connect(const InetState& state) {
    UniqueFd fd = CK_TRY(make_connecting(state));
    const int error = CK_TRY(try_connect(fd.get(), state.remote()));
    if (error == EADDRNOTAVAIL) return std::optional<UniqueFd>();
    if (error != 0) return cannot_connect(state, error);
    unset_port_choice(fd.get());
    return std::optional(std::move(fd));
  }

  static Error cannot_connect(const InetState& state, int error) {
    return sys_error(
        "connect " + address_text(state.local()) + " to " + address_text(state.remote()), error);
  }

  // Its other end is in its listener's queue. The connection may have been accepted and closed
  // since.
  Result<UniqueFd> make_waiting(const InetState& state) {
    const auto deadline = steady_clock::now() + kTimeWait;
    for (;;) {
      std::optional<UniqueFd> fd = CK_TRY(connect(state));
      if (fd) return *std::move(fd);
      if (steady_clock::now() > deadline) return cannot_connect(state, EADDRNOTAVAIL);
      ::poll(nullptr, 0, 50);
    }
  }

  static void unset_port_choice(int fd) {
    for (int option : {IP_LOCAL_PORT_RANGE, IP_BIND_ADDRESS_NO_PORT})
      set_int_option(fd, IPPROTO_IP, option, 0);
  }

  // From one address to the other; nothing if the address pair is in TIME_WAIT on this side.
  struct Ends {
    UniqueFd from, to;
  };
  Result<std::optional<Ends>> join(const InetState& from, const InetState& to) {
    const UniqueFd listener = CK_TRY(make_bound(to));
    if (::listen(listener.get(), 16) != 0)
      return sys_error("listen at " + address_text(to.local()));
    std::optional<UniqueFd> connected = CK_TRY(connect(from));
    if (!connected) return std::optional<Ends>();
    Ends ends{*std::move(connected), {}};
    ends.to = CK_TRY(accept_from(listener.get(), from.local()));
    return std::optional(std::move(ends));
  }

  using MaybeEnds = Result<std::optional<Ends>>;
  static bool is_not_yet(const MaybeEnds& ends) {
    return ends.ok() ? !*ends : ends.error().errnum == EADDRINUSE;
  }

  // The end that was closed first is in TIME_WAIT; the other one can connect at once, unless that
  // end's address cannot be listened at.
  Result<Ends> join_any_way(const InetState& one, const InetState& other) {
    const auto deadline = steady_clock::now() + kTimeWait;
    for (;;) {
      MaybeEnds forth = join(one, other);
      if (!is_not_yet(forth)) return *CK_TRY(std::move(forth));
      MaybeEnds back = join(other, one);
      if (!is_not_yet(back)) {
        Ends ends = *CK_TRY(std::move(back));
        return Ends{std::move(ends.to), std::move(ends.from)};
      }
      if (!forth.ok() && !back.ok()) return std::move(forth).error();
      if (steady_clock::now() > deadline)
        return make_error(ErrorKind::kTryAgain,
                          "the addresses " + address_text(one.local()) + " and " +
                              address_text(one.remote()) + " cannot be connected yet",
                          "try again after a minute");
      ::poll(nullptr, 0, 50);
    }
  }

  // Of a connection whose other end was closed: that end, for the moment.
  static InetState opposite(const InetState& state) {
    InetState other;
    other.set_family(state.family());
    other.set_type(state.type());
    other.set_protocol(state.protocol());
    other.set_phase(state.phase());
    other.set_local(state.remote());
    other.set_remote(state.local());
    return other;
  }

  Status make_connection(Socket& socket) {
    Socket* peer = peer_of(socket);
    const InetState other = peer != nullptr ? peer->state : opposite(socket.state);
    Ends ends = CK_TRY(join_any_way(socket.state, other));
    socket.fd = std::move(ends.from);
    (peer != nullptr ? peer->fd : alone_[socket.state.id()]) = std::move(ends.to);
    return {};
  }

  Status make(Socket& socket) {
    if (socket.state.phase() == InetState::RESET) return make_reset(socket);
    if (socket.state.phase() == InetState::REPAIR) return make_repaired(socket);
    switch (socket.state.phase()) {
      case InetState::LISTENING:
        socket.fd = CK_TRY(make_bound(socket.state));
        if (::listen(socket.fd.get(), static_cast<int>(socket.state.backlog())) != 0)
          return sys_error("listen at " + address_text(socket.state.local()));
        return {};
      case InetState::WAITING:
        socket.fd = CK_TRY(make_waiting(socket.state));
        return {};
      case InetState::CONNECTING: {
        socket.fd = CK_TRY(make_connecting(socket.state));
        // Whatever comes of it, the program will be told.
        const sockaddr_storage to = to_sockaddr(socket.state.remote());
        ::connect(socket.fd.get(), reinterpret_cast<const sockaddr*>(&to),
                  static_cast<socklen_t>(socket.state.remote().size()));
        unset_port_choice(socket.fd.get());
        return {};
      }
      default:
        socket.fd = CK_TRY(make_bound(socket.state));
        return {};
    }
  }

  // A connection of its own that is aborted when what was unread is in it.
  Status make_reset(Socket& socket) {
    if (!socket.state.remote().empty())
      session_.warn("the connection " + address_text(socket.state.local()) + " -> " +
                    address_text(socket.state.remote()) + " led outside of the job, and is reset");
    InetState any;
    any.set_family(socket.state.family());
    any.set_type(SOCK_STREAM);
    any.set_protocol(IPPROTO_TCP);
    any.set_local(loopback(socket.state.family()));
    const UniqueFd listener = CK_TRY(make_bound(any));
    if (::listen(listener.get(), 1) != 0) return sys_error("listen at a loopback address");
    socket.fd = CK_TRY(make_inet_socket(session_, socket.state));
    const int error = CK_TRY(try_connect(socket.fd.get(), local_address(listener.get())));
    if (error != 0) return sys_error("connect a socket to a loopback address", error);
    alone_[socket.state.id()] = CK_TRY(accept_from(listener.get(), local_address(socket.fd.get())));
    return {};
  }

  Status make_repaired(Socket& socket) {
    CK_CHECK(session_.context.repaired != nullptr);
    socket.fd = CK_TRY(make_inet_socket(session_, socket.state));
    return session_.context.repaired->add(socket.fd.get(), socket.state);
  }

  Status set_final_options(const Socket& socket) {
    const InetState& state = socket.state;
    std::string missing;
    if (state.phase() != InetState::RESET)  // those of an accepted one are its listener's
      CK_TRY(set_options(socket.fd.get(), state.options(), missing));
    if (state.phase() == InetState::CONNECTED || state.phase() == InetState::LISTENING)
      set_int_option(socket.fd.get(), SOL_SOCKET, SO_REUSEADDR, 1);
    return {};
  }

  Status fill(Socket& socket) {
    Socket* peer = peer_of(socket);
    auto alone = alone_.find(socket.state.id());
    if (alone != alone_.end()) return end_alone(socket, std::move(alone->second));
    if (peer == nullptr) return {};
    return send_all(peer->fd.get(), socket.fd.get(), socket.state.unread());
  }

  Status end_alone(Socket& socket, UniqueFd other) {
    CK_TRY(send_all(other.get(), socket.fd.get(), socket.state.unread()));
    if (socket.state.phase() == InetState::CONNECTED) return {};
    abort_connection(std::move(other));
    CK_TRY(wait_for(socket.fd.get(), POLLHUP, "resetting a connection"));
    if (socket.state.error_seen()) int_option(socket.fd.get(), SOL_SOCKET, SO_ERROR);
    return {};
  }

  static void shut_down(const Socket& socket) {
    constexpr int kWays[] = {-1, SHUT_RD, SHUT_WR, SHUT_RDWR};
    if (socket.state.shutdown() != 0 && socket.state.phase() != InetState::RESET)
      ::shutdown(socket.fd.get(), kWays[socket.state.shutdown() & 3]);
  }

  RestoreSession& session_;
  std::map<std::uint64_t, Socket> sockets_;  // by id
  std::map<std::uint64_t, UniqueFd> alone_;  // other ends that no process has
};

}  // namespace

Status build_tcp_sockets(RestoreSession& session) {
  return Builder(session).build();
}

}  // namespace ck::resources
