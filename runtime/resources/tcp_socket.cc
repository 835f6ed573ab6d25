// TCP sockets over IPv4 and IPv6. A connection with both ends in the job is made anew, with the
// same ports; one that leads outside is reset at a restart, refused or kept alive, as the user
// chose.
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>

#include "runtime/proc/sock_diag.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/inet_socket.h"
#include "runtime/resources/pipe_ends.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/socket_name.h"
#include "runtime/resources/table.h"
#include "runtime/resources/tcp_builder.h"
#include "runtime/resources/tcp_queues.h"
#include "runtime/resources/tcp_repair.h"

namespace ck::resources {
namespace {

constexpr OptionRow kTcp[] = {
    {IPPROTO_TCP, TCP_NODELAY, sizeof(int)},
    {IPPROTO_TCP, TCP_CORK, sizeof(int)},
    {IPPROTO_TCP, TCP_KEEPIDLE, sizeof(int)},
    {IPPROTO_TCP, TCP_KEEPINTVL, sizeof(int)},
    {IPPROTO_TCP, TCP_KEEPCNT, sizeof(int)},
    {IPPROTO_TCP, TCP_SYNCNT, sizeof(int)},
    {IPPROTO_TCP, TCP_LINGER2, sizeof(int)},
    {IPPROTO_TCP, TCP_DEFER_ACCEPT, sizeof(int)},
    {IPPROTO_TCP, TCP_CONGESTION, 16},
    {IPPROTO_TCP, TCP_USER_TIMEOUT, sizeof(int)},
    {IPPROTO_TCP, TCP_NOTSENT_LOWAT, sizeof(int)},
    {IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS, sizeof(int)},
    {IPPROTO_TCP, TCP_SAVE_SYN, sizeof(int)},
    {IPPROTO_TCP, TCP_FASTOPEN, sizeof(int)},
    {IPPROTO_TCP, TCP_FASTOPEN_CONNECT, sizeof(int)},
    {IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE, sizeof(int)},
    {IPPROTO_TCP, TCP_INQ, sizeof(int)},
};
// Of a connected one the kernel tells what it works with, not what was set.
constexpr OptionRow kBeforeConnect[] = {
    {IPPROTO_TCP, TCP_MAXSEG, sizeof(int)},
    {IPPROTO_TCP, TCP_WINDOW_CLAMP, sizeof(int)},
};

bool is_tcp(int fd) {
  const int family = int_option(fd, SOL_SOCKET, SO_DOMAIN);
  return (family == AF_INET || family == AF_INET6) &&
         int_option(fd, SOL_SOCKET, SO_TYPE) == SOCK_STREAM &&
         int_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_TCP;
}

bool recognises(const CaptureSession&, const OpenFile& file) {
  return S_ISSOCK(file.status.st_mode) && file.duplicate && is_tcp(file.duplicate.get());
}

const std::map<std::string, std::size_t>& ends_of(const CaptureSession& session) {
  if (session.tcp_ends) return *session.tcp_ends;
  session.tcp_ends.emplace();
  for (std::size_t i = 0; i < session.files.size(); ++i) {
    const OpenFile& file = session.files[i];
    if (!recognises(session, file)) continue;
    const std::string remote = remote_address(file.duplicate.get());
    if (!remote.empty())
      session.tcp_ends->emplace(connection_key(local_address(file.duplicate.get()), remote), i);
  }
  return *session.tcp_ends;
}

// The other end, if the job has it.
const OpenFile* peer_in_job(const CaptureSession& session, const OpenFile& file) {
  const std::string remote = remote_address(file.duplicate.get());
  if (remote.empty()) return nullptr;
  const auto& ends = ends_of(session);
  auto found = ends.find(connection_key(remote, local_address(file.duplicate.get())));
  return found == ends.end() ? nullptr : &session.files[found->second];
}

// A connection that a socket of the job could accept.
bool is_listened_to(const CaptureSession& session, const std::string& remote) {
  return std::any_of(session.files.begin(), session.files.end(), [&](const OpenFile& file) {
    if (!recognises(session, file)) return false;
    const int fd = file.duplicate.get();
    if (info_of(fd).tcpi_state != TCP_LISTEN) return false;
    const std::string local = local_address(fd);
    return address_key(local) == address_key(remote) ||
           (is_any(local) && address_key(with_port_of(loopback(AF_INET), local)) ==
                                 address_key(with_port_of(loopback(AF_INET), remote)));
  });
}

bool got_end(int state) {
  return state == TCP_CLOSE_WAIT || state == TCP_LAST_ACK || state == TCP_CLOSING;
}
bool sent_end(int state) {
  return state == TCP_FIN_WAIT1 || state == TCP_FIN_WAIT2 || state == TCP_CLOSING ||
         state == TCP_LAST_ACK;
}

Error refused(const OpenFile& file, const std::string& why, ErrorKind kind = ErrorKind::kRefused) {
  return make_error(kind, "it is " + describe_socket(file.duplicate.get()) + why);
}

// A connection whose other end no process of the job has.
Result<InetState::Phase> phase_alone(const CaptureSession& session, const OpenFile& file,
                                     int state) {
  const int fd = file.duplicate.get();
  const std::string local = local_address(fd), remote = remote_address(fd);
  auto other = CK_TRY(proc::find_tcp_socket(to_sockaddr(remote), to_sockaddr(local)));
  const bool nobodys = other && other->inode == 0;
  const bool accepted_later =
      nobodys && (other->state == TCP_ESTABLISHED || other->state == TCP_CLOSE_WAIT ||
                  other->state == TCP_SYN_RECV);
  if (accepted_later && is_listened_to(session, remote)) return InetState::WAITING;
  if (got_end(state) && (nobodys || (!other && is_local(remote)))) return InetState::CONNECTED;
  if (nobodys && !accepted_later)
    return refused(file, ", whose other end was closed before all was read", ErrorKind::kTryAgain)
        .that_passes();
  return InetState::RESET;
}

Result<InetState::Phase> phase_of(const CaptureSession& session, const OpenFile& file, int state) {
  if (state == TCP_LISTEN) return InetState::LISTENING;
  if (state == TCP_SYN_SENT) return InetState::CONNECTING;
  if (state == TCP_CLOSE) {
    pollfd poll{file.duplicate.get(), POLLRDHUP, 0};
    ::poll(&poll, 1, 0);
    return (poll.revents & POLLRDHUP) != 0 ? InetState::RESET : InetState::UNCONNECTED;
  }
  if (peer_in_job(session, file) != nullptr) return InetState::CONNECTED;
  const InetState::Phase alone = CK_TRY(phase_alone(session, file, state));
  if (alone != InetState::RESET || session.tcp != TcpPolicy::kRepair) return alone;
  if (state == TCP_ESTABLISHED) return InetState::REPAIR;
  return refused(file, " that leads outside of the job and was shut down by one of its ends")
      .with_hint("try again when it has ended, or use --tcp=reset");
}

// Not one that is over anyway.
Status apply_policy(const CaptureSession& session, const OpenFile& file, int state) {
  if (state == TCP_CLOSE || session.tcp != TcpPolicy::kRefuse) return {};
  return refused(file, " that leads outside of the job")
      .with_hint("--tcp=reset resets it at a restart");
}

void note_reset(CaptureSession& session, const OpenFile& file) {
  session.notes.push_back({file.pid,
                           "fd " + std::to_string(file.entry.fd) + " -> " + file.entry.target,
                           "it is " + describe_socket(file.duplicate.get()) +
                               " that leads outside of the job, and is reset at a restart",
                           "", false});
}

Status check_waiting(const CaptureSession& session, const OpenFile& file) {
  const tcp_info info = info_of(file.duplicate.get());
  if (session.survey || (info.tcpi_bytes_sent == 0 && info.tcpi_notsent_bytes == 0)) return {};
  return make_error(ErrorKind::kTryAgain,
                    "something was sent through this connection, which is not accepted yet",
                    "try again when the program has accepted it")
      .that_passes();
}

Status check_protocol(const OpenFile& file) {
  CK_TRY(check_inet(file));
  char name[16] = "";
  socklen_t length = sizeof name;
  if (::getsockopt(file.duplicate.get(), IPPROTO_TCP, TCP_ULP, name, &length) == 0 && length > 0)
    return refused(file, " that the kernel encrypts (" + std::string(name) + ")");
  return {};
}

// A connection in TIME_WAIT keeps whether its address may be used again. Without that, a restart
// could not have the address for a minute.
void allow_reuse(int fd) {
  set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
}

void capture_tcp_options(int fd, InetState::Phase phase, SocketOptions& options) {
  capture_common_options(fd, options);
  capture_ip_options(fd, options);
  capture_options(fd, kTcp, options);
  if (phase == InetState::UNCONNECTED || phase == InetState::LISTENING)
    capture_options(fd, kBeforeConnect, options);
}

std::uint32_t shutdown_of(int fd, int state) {
  pollfd poll{fd, POLLRDHUP, 0};
  ::poll(&poll, 1, 0);
  const bool stopped_reading = (poll.revents & POLLRDHUP) != 0 && !got_end(state);
  return (stopped_reading ? 1u : 0u) | (sent_end(state) ? 2u : 0u);
}

Status capture_content(const CaptureSession& session, const OpenFile& file, int tcp_state,
                       InetState& state) {
  const int fd = file.duplicate.get();
  state.set_shutdown(shutdown_of(fd, tcp_state));
  const OpenFile* peer = peer_in_job(session, file);
  if (peer != nullptr) {
    state.set_peer(peer->status.st_ino);
    state.set_unread(CK_TRY(read_connection(peer->duplicate.get(), fd)));
  } else if (state.phase() == InetState::CONNECTED || tcp_state == TCP_CLOSE) {
    state.set_unread(CK_TRY(peek_unread(fd)));
  }
  return {};
}

Status hold(const CaptureSession& session, int fd, InetState& state) {
  CK_CHECK(session.held != nullptr);
  return session.held->hold(fd, state);
}

bool has_error(int fd) {
  pollfd poll{fd, 0, 0};
  ::poll(&poll, 1, 0);
  return (poll.revents & POLLERR) != 0;
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  const int fd = file.duplicate.get();
  CK_TRY(check_protocol(file));
  const tcp_info info = info_of(fd);
  const InetState::Phase phase = CK_TRY(phase_of(session, file, info.tcpi_state));
  if (phase == InetState::RESET) CK_TRY(apply_policy(session, file, info.tcpi_state));
  if (phase == InetState::WAITING) CK_TRY(check_waiting(session, file));
  if (session.survey) {
    if (phase == InetState::RESET && info.tcpi_state != TCP_CLOSE) note_reset(session, file);
    return {};
  }
  InetState state;
  state.set_id(file.status.st_ino);
  state.set_phase(phase);
  state.set_family(int_option(fd, SOL_SOCKET, SO_DOMAIN));
  state.set_type(SOCK_STREAM);
  state.set_protocol(IPPROTO_TCP);
  state.set_local(local_address(fd));
  state.set_remote(remote_address(fd));
  if (phase == InetState::LISTENING) state.set_backlog(info.tcpi_sacked);
  if (phase == InetState::RESET && info.tcpi_state == TCP_CLOSE)
    state.set_error_seen(!has_error(fd));
  capture_tcp_options(fd, phase, *state.mutable_options());
  if (phase == InetState::REPAIR) CK_TRY(hold(session, fd, state));
  CK_TRY(capture_content(session, file, info.tcpi_state, state));
  if (phase == InetState::CONNECTING) {
    auto to = CK_TRY(proc::find_connecting(file.status.st_ino, state.family()));
    if (to)
      state.set_remote(reinterpret_cast<const char*>(&*to),
                       state.family() == AF_INET6 ? sizeof(sockaddr_in6) : sizeof(sockaddr_in));
  }
  if (phase != InetState::UNCONNECTED && phase != InetState::RESET && phase != InetState::REPAIR)
    allow_reuse(fd);
  record.set_state(state.SerializeAsString());
  return {};
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<InetState>(record));
  if (session.tcp_sockets.empty()) CK_TRY(build_tcp_sockets(session));
  return hand_over(session, std::move(session.tcp_sockets[state.id()]), record);
}

}  // namespace

bool leads_outside_by_tcp(const CaptureSession& session, const OpenFile& file) {
  if (!recognises(session, file)) return false;
  Result<InetState::Phase> phase =
      phase_of(session, file, info_of(file.duplicate.get()).tcpi_state);
  return phase.ok() && *phase == InetState::RESET;
}

const Kind kTcpSocket = {"tcp_socket", recognises, capture, restore};

}  // namespace ck::resources
