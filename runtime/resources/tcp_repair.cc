#include "runtime/resources/tcp_repair.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "runtime/base/log.h"
#include "runtime/resources/inet_socket.h"
#include "runtime/resources/socket_options.h"
#include "runtime/resources/tcp_queues.h"
#include "runtime/resources/tcp_traffic.h"

namespace ck::resources {
namespace {

// TCP_REPAIR_QUEUE's values, and options by their numbers in the protocol (RFC 9293, RFC 7323,
// RFC 2018): the kernel's headers for programs have neither.
enum Queue { kNoQueue, kReceiveQueue, kSendQueue };
enum OptionCode { kMaximumSegment = 2, kWindowScale = 3, kSelectiveAcks = 4, kTimestamps = 8 };
constexpr std::size_t kBlock = 1 << 16;

bool is_plain(char letter) {
  return (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9') || letter == '_';
}

// It becomes part of a command to the firewall.
bool is_table_name(const std::string& name) {
  return !name.empty() && name.size() < 64 && name[0] >= 'a' &&
         std::all_of(name.begin(), name.end(), is_plain);
}

Status set(int fd, int name, const void* value, std::size_t size, const char* what) {
  if (::setsockopt(fd, IPPROTO_TCP, name, value, static_cast<socklen_t>(size)) == 0) return {};
  return sys_error(what);
}

Status set(int fd, int name, int value, const char* what) {
  return set(fd, name, &value, sizeof value, what);
}

template <typename T>
Result<T> get(int fd, int name, const char* what) {
  T value{};
  socklen_t size = sizeof value;
  if (::getsockopt(fd, IPPROTO_TCP, name, &value, &size) != 0) return sys_error(what);
  return value;
}

Status begin_repair(int fd) {
  Status begun = set(fd, TCP_REPAIR, TCP_REPAIR_ON, "hold a TCP connection");
  if (begun.ok()) return begun;
  return std::move(begun).error().with_hint("--tcp=repair needs root (CAP_NET_ADMIN)");
}

Status choose_queue(int fd, Queue queue) {
  return set(fd, TCP_REPAIR_QUEUE, queue, "choose a queue of a held TCP connection");
}

Result<std::uint32_t> sequence_of(int fd, Queue queue) {
  CK_TRY(choose_queue(fd, queue));
  return get<std::uint32_t>(fd, TCP_QUEUE_SEQ, "read a sequence number");
}

Result<std::string> peek_sent(int fd, std::size_t size) {
  std::string bytes(size, '\0');
  if (bytes.empty()) return bytes;
  CK_TRY(choose_queue(fd, kSendQueue));
  const ssize_t got = ::recv(fd, bytes.data(), bytes.size(), MSG_PEEK | MSG_DONTWAIT);
  if (got != static_cast<ssize_t>(bytes.size()))
    return sys_error("look at what a TCP connection has not delivered");
  return bytes;
}

std::uint32_t amount(int fd, unsigned long what) {
  int bytes = 0;
  return ::ioctl(fd, what, &bytes) == 0 && bytes > 0 ? static_cast<std::uint32_t>(bytes) : 0;
}

// The connection stands still: nothing arrives, and nobody of the job runs.
Status read_state(int fd, InetState& state) {
  InetState::Repair& repair = *state.mutable_repair();
  const tcp_info info = info_of(fd);
  repair.set_options(info.tcpi_options);
  repair.set_send_scale(info.tcpi_snd_wscale);
  repair.set_receive_scale(info.tcpi_rcv_wscale);
  repair.set_maximum_segment(
      CK_TRY(get<std::uint32_t>(fd, TCP_MAXSEG, "read a TCP connection's segment size")));
  repair.set_timestamp(
      CK_TRY(get<std::uint32_t>(fd, TCP_TIMESTAMP, "read a TCP connection's timestamp")));
  const auto window =
      CK_TRY(get<tcp_repair_window>(fd, TCP_REPAIR_WINDOW, "read a TCP connection's window"));
  repair.set_window(&window, sizeof window);
  const std::uint32_t waiting = amount(fd, SIOCOUTQ);
  repair.set_unsent(amount(fd, SIOCOUTQNSD));
  repair.set_sent(CK_TRY(peek_sent(fd, waiting)));
  repair.set_send_sequence(CK_TRY(sequence_of(fd, kSendQueue)) - waiting);
  repair.set_receive_sequence(CK_TRY(sequence_of(fd, kReceiveQueue)) -
                              static_cast<std::uint32_t>(state.unread().size()));
  return choose_queue(fd, kNoQueue);
}

// Into a queue of a socket under repair.
Status refill(int fd, Queue queue, std::string_view bytes) {
  CK_TRY(choose_queue(fd, queue));
  while (!bytes.empty()) {
    const ssize_t put = ::send(fd, bytes.data(), std::min(bytes.size(), kBlock), MSG_DONTWAIT);
    if (put <= 0) return sys_error("put back what was on its way in a TCP connection");
    bytes.remove_prefix(static_cast<std::size_t>(put));
  }
  return {};
}

// The sizes that the program has set come later.
void make_room(int fd, std::size_t received, std::size_t sent) {
  const auto room = [](std::size_t bytes) {
    return static_cast<int>(std::min<std::size_t>(2 * bytes + (1 << 16), 1 << 30));
  };
  set_int_option(fd, SOL_SOCKET, SO_RCVBUFFORCE, room(received));
  set_int_option(fd, SOL_SOCKET, SO_SNDBUFFORCE, room(sent));
}

// That they were set by hand would keep the kernel from choosing them (SO_BUF_LOCK, Linux 5.14).
void forget_sizes(int fd) {
  constexpr int kBufferLock = 72;
  set_int_option(fd, SOL_SOCKET, kBufferLock, 0);
}

Status set_negotiated(int fd, const InetState::Repair& repair) {
  std::vector<tcp_repair_opt> options{{kMaximumSegment, repair.maximum_segment()}};
  if (repair.options() & TCPI_OPT_WSCALE)
    options.push_back({kWindowScale, repair.send_scale() | (repair.receive_scale() << 16)});
  if (repair.options() & TCPI_OPT_SACK) options.push_back({kSelectiveAcks, 0});
  if (repair.options() & TCPI_OPT_TIMESTAMPS) options.push_back({kTimestamps, 0});
  CK_TRY(set(fd, TCP_REPAIR_OPTIONS, options.data(), options.size() * sizeof options[0],
             "set what a TCP connection has agreed on"));
  return set(fd, TCP_TIMESTAMP, static_cast<int>(repair.timestamp()),
             "set a TCP connection's timestamp");
}

Status connect_silently(int fd, const InetState& state) {
  const auto set_sequence = [fd](Queue queue, std::uint32_t value) -> Status {
    CK_TRY(choose_queue(fd, queue));
    return set(fd, TCP_QUEUE_SEQ, static_cast<int>(value), "set a sequence number");
  };
  CK_TRY(set_sequence(kSendQueue, state.repair().send_sequence()));
  CK_TRY(set_sequence(kReceiveQueue, state.repair().receive_sequence()));
  const sockaddr_storage to = to_sockaddr(state.remote());
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to),
                static_cast<socklen_t>(state.remote().size())) != 0)
    return sys_error("take over the TCP connection " + address_text(state.local()) + " -> " +
                     address_text(state.remote()));
  return {};
}

}  // namespace

HeldConnections::HeldConnections(const std::string& job) : table_("ckrun_" + job.substr(0, 48)) {
  for (char& letter : table_)
    if (!is_plain(letter)) letter = '_';
}

Status HeldConnections::hold(int fd, InetState& state) {
  UniqueFd ours(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!ours) return sys_error("duplicate a descriptor");
  CK_TRY(stop_traffic(table_, state.local(), state.remote()));
  sockets_.push_back(std::move(ours));
  state.mutable_repair()->set_table(table_);
  state.set_unread(CK_TRY(peek_unread(fd)));
  CK_TRY(begin_repair(fd));
  return read_state(fd, state);
}

void HeldConnections::release() {
  if (sockets_.empty()) return;
  if (Status passed = let_traffic_pass(table_); !passed.ok())
    spdlog::warn("{}", passed.error().text());
  for (const UniqueFd& socket : sockets_) {
    set_int_option(socket.get(), IPPROTO_TCP, TCP_REPAIR, TCP_REPAIR_OFF_NO_WP);
    set_int_option(socket.get(), SOL_SOCKET, SO_REUSEADDR, 1);  // the end of a repair clears it
  }
  sockets_.clear();
}

Status RepairedConnections::add(int fd, const InetState& state) {
  const InetState::Repair& repair = state.repair();
  if (repair.window().size() != sizeof(tcp_repair_window) ||
      repair.unsent() > repair.sent().size() || !is_table_name(repair.table()))
    return make_error(ErrorKind::kBadImage, "the state of a TCP connection is damaged");
  UniqueFd ours(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
  if (!ours) return sys_error("duplicate a descriptor");
  CK_TRY(begin_repair(fd));
  CK_TRY(bind_inet(fd, state.local()));
  make_room(fd, state.unread().size(), repair.sent().size());
  CK_TRY(connect_silently(fd, state));
  CK_TRY(set_negotiated(fd, repair));
  const std::string_view sent(repair.sent());
  CK_TRY(refill(fd, kReceiveQueue, state.unread()));
  CK_TRY(refill(fd, kSendQueue, sent.substr(0, sent.size() - repair.unsent())));
  CK_TRY(choose_queue(fd, kNoQueue));
  forget_sizes(fd);
  CK_TRY(set(fd, TCP_REPAIR_WINDOW, repair.window().data(), repair.window().size(),
             "set a TCP connection's window"));
  sockets_.push_back({std::move(ours), std::string(sent.substr(sent.size() - repair.unsent()))});
  if (std::find(tables_.begin(), tables_.end(), repair.table()) == tables_.end())
    tables_.push_back(repair.table());
  return {};
}

Status RepairedConnections::revive() {
  for (const std::string& table : tables_) CK_TRY(let_traffic_pass(table));
  for (Waiting& one : sockets_) {
    const int fd = one.fd.get();
    CK_TRY(set(fd, TCP_REPAIR, TCP_REPAIR_OFF, "let a TCP connection go on"));
    set_int_option(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!one.unsent.empty() &&
        ::send(fd, one.unsent.data(), one.unsent.size(), MSG_DONTWAIT | MSG_NOSIGNAL) !=
            static_cast<ssize_t>(one.unsent.size()))
      return sys_error("send what waited in a TCP connection");
  }
  sockets_.clear();
  return {};
}

}  // namespace ck::resources
