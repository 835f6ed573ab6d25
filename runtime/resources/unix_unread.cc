#include "runtime/resources/unix_unread.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "runtime/proc/pass_descriptor.h"
#include "runtime/resources/pipe_ends.h"
#include "runtime/resources/socket_options.h"
#include "runtime/resources/unix_address.h"

namespace ck::resources {
namespace {

constexpr std::size_t kMaxMessage = 4 << 20;

using Unread = CaptureSession::Unread;

struct Piece {
  std::string bytes;
  std::vector<UniqueFd> passed;
  std::string sender;  // its name
  pid_t pid = 0;
  bool is_message = false;  // an empty one; else the end
};

void take_control(msghdr& message, Piece& piece) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    piece.is_message = true;
    if (part->cmsg_type == SCM_CREDENTIALS) {
      ucred credentials{};
      std::memcpy(&credentials, CMSG_DATA(part), sizeof credentials);
      piece.pid = credentials.pid;
    }
    if (part->cmsg_type != SCM_RIGHTS) continue;
    std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i)
      piece.passed.emplace_back(reinterpret_cast<int*>(CMSG_DATA(part))[i]);
  }
}

// The next unread piece, left where it is, with duplicates of what is passed with it. None: there
// is no more.
Result<std::optional<Piece>> peek(int fd, std::span<char> buffer) {
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) char control[CMSG_SPACE(253 * sizeof(int)) + 256];
  sockaddr_un from{};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = ::recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
  if (got < 0 && errno == EAGAIN) return std::optional<Piece>();
  if (got < 0) return sys_error("look at what is unread in a socket");
  std::optional<Piece> piece(std::in_place);
  take_control(message, *piece);
  piece->sender = name_of(from, message.msg_namelen);
  if ((message.msg_flags & MSG_CTRUNC) != 0) {
    return make_error(ErrorKind::kRefused,
                      "more descriptors are on their way through it than can "
                      "be opened at once");
  }
  if (static_cast<std::size_t>(got) > buffer.size()) {
    return make_error(ErrorKind::kRefused,
                      "a message of " + std::to_string(got) + " bytes is unread in it");
  }
  piece->bytes.assign(buffer.data(), static_cast<std::size_t>(got));
  return piece;
}

// A stream yields in one piece what was sent before and what came with descriptors, to the end of
// the latter; whoever reads less gets them with their first byte only. How many bytes are before
// that: the kernel leaves out of a piece what it cannot copy whole, and the last byte goes nowhere.
Result<std::size_t> bytes_before_passed(int fd, std::size_t start, std::size_t length,
                                        std::span<char> buffer) {
  iovec parts[] = {{buffer.data(), length - 1}, {nullptr, 1}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  set_int_option(fd, SOL_SOCKET, SO_PEEK_OFF, static_cast<int>(start));
  ssize_t got = ::recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && errno != EFAULT) return sys_error("look at what is unread in a socket");
  set_int_option(fd, SOL_SOCKET, SO_PEEK_OFF, static_cast<int>(start + length));
  return static_cast<std::size_t>(std::max<ssize_t>(got, 0));
}

Status add_piece(CaptureSession& session, Piece piece, Unread& unread) {
  const std::size_t number = unread.pieces.size();
  if (!piece.passed.empty()) {
    Unread::Passed& passed = unread.passed.emplace_back();
    passed.piece = number;
    for (UniqueFd& fd : piece.passed)
      passed.open_files.push_back(CK_TRY(session.add_passed(std::move(fd))));
  }
  if (!piece.sender.empty() || piece.pid != 0)
    unread.senders.push_back({number, std::move(piece.sender), piece.pid});
  unread.pieces.push_back(std::move(piece.bytes));
  return {};
}

// Looks no further than at `length` bytes: there, a pending error would be reported to us, and not
// to the program.
Status read_stream(CaptureSession& session, int fd, std::size_t length, Unread& unread) {
  const OptionForNow offset(fd, SOL_SOCKET, SO_PEEK_OFF, 0);
  std::vector<char> buffer(std::min(kMaxMessage, length));
  for (std::size_t start = 0; start < length;) {
    const std::span<char> room(buffer.data(), std::min(buffer.size(), length - start));
    std::optional<Piece> piece = CK_TRY(peek(fd, room));
    if (!piece || piece->bytes.empty()) return {};
    const std::size_t got = piece->bytes.size();
    if (!piece->passed.empty()) {
      std::size_t before = CK_TRY(bytes_before_passed(fd, start, got, buffer));
      if (before > 0) unread.pieces.push_back(piece->bytes.substr(0, before));
      piece->bytes.erase(0, before);
    }
    start += got;
    CK_TRY(add_piece(session, *std::move(piece), unread));
  }
  return {};
}

// Peeking by offset passes over an empty message that was looked at before: where the first one is
// empty, it is counted by a look without an offset. Credentials come with every message, and not
// with the end of a connection.
Status read_messages(CaptureSession& session, int fd, Unread& unread) {
  if (!CK_TRY(has_message(fd))) return {};
  const OptionForNow credentials(fd, SOL_SOCKET, SO_PASSCRED, 1);
  const OptionForNow offset(fd, SOL_SOCKET, SO_PEEK_OFF, -1);
  std::vector<char> buffer(kMaxMessage);
  std::optional<Piece> first = CK_TRY(peek(fd, buffer));
  if (!first || !first->is_message) return {};
  if (first->bytes.empty()) CK_TRY(add_piece(session, *std::move(first), unread));
  set_int_option(fd, SOL_SOCKET, SO_PEEK_OFF, 0);
  for (;;) {
    std::optional<Piece> piece = CK_TRY(peek(fd, buffer));
    if (!piece || !piece->is_message) return {};
    CK_TRY(add_piece(session, *std::move(piece), unread));
  }
}

bool may_have_unread(const proc::UnixSocket& socket) {
  constexpr int kListening = 10;  // TCP_LISTEN
  return socket.state != kListening && (socket.type != SOCK_STREAM || socket.unread > 0);
}

// Copies of ours of what is passed with a piece.
Result<std::vector<UniqueFd>> fetch_passed(RestoreSession& session, const SocketState& reader,
                                           std::size_t piece) {
  std::vector<UniqueFd> fds;
  for (const SocketState::Passed& passed : reader.passed()) {
    if (passed.piece() != piece) continue;
    for (std::uint32_t open_file : passed.open_files()) {
      auto made = session.made.find(open_file);
      if (made == session.made.end() || fds.size() == proc::kMaxPassed)
        return make_error(ErrorKind::kBadImage, "an impossible descriptor is on its way");
      fds.push_back(CK_TRY(session.fetch(made->second)));
    }
  }
  return fds;
}

SocketState::Sender sender_of(const SocketState& reader, std::size_t piece) {
  for (const SocketState::Sender& sender : reader.senders())
    if (sender.piece() == piece) return sender;
  return {};
}

// A piece, or what is left of one.
struct Outgoing {
  std::string_view bytes;
  std::vector<int> fds;
  pid_t pid = 0;  // of the sender, if it is told and the job has it
};

// Both return what was sent, or -errno.
std::int64_t send_as_engine(const Refill& how, int fd, const Outgoing& out) {
  const ssize_t put = proc::send_with_descriptors(fd, out.bytes, out.fds, how.address, how.length);
  return put < 0 ? -errno : put;
}

// The kernel takes the credentials of a message from the process that sends it.
Result<std::int64_t> send_as(const Refill& how, int fd, const Outgoing& out) {
  RestoreSession::Visit visit(how.session, how.session.find_process(out.pid));
  const int number = CK_TRY(how.session.give(UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0))));
  proc::Mailbox& box = how.session.box();
  box.clear();
  const auto bytes = box.put(std::as_bytes(std::span(out.bytes)));
  proc::Mailbox::Address address = 0;
  if (how.address != nullptr)
    address =
        box.put(std::as_bytes(std::span(reinterpret_cast<const char*>(how.address), how.length)));
  auto sent = box.add(SYS_sendto, number, bytes, out.bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL,
                      address, how.length);
  box.add(SYS_close, number);
  CK_TRY(box.run());
  const std::int64_t result = box.result(sent);
  box.clear();
  return result;
}

Result<std::int64_t> send(const Refill& how, int fd, const Outgoing& out) {
  const bool small = out.bytes.size() + 1024 < how.session.box().space_left();
  if (out.pid != 0 && out.fds.empty() && small) return send_as(how, fd, out);
  return send_as_engine(how, fd, out);
}

Error cannot_put_back(std::int64_t result) {
  if (result >= 0 || result == -EAGAIN)
    return make_error(ErrorKind::kRefused,
                      "more is unread in a UNIX socket than this host lets one hold",
                      "raise net.core.wmem_max or net.unix.max_dgram_qlen (sysctl)");
  return sys_error("put back what was unread in a socket", static_cast<int>(-result));
}

// The most that one of the kernel's buffers takes (SKB_MAX_HEAD(0) + UNIX_SKB_FRAGS_SZ). There must
// be some room for one, not for all of it: what has filled a connection has room again if the last
// buffer is a large one.
constexpr std::size_t kBuffer = 36544;

Status put_stream(const Refill& how, int fd, Outgoing out) {
  while (!out.bytes.empty()) {
    Outgoing now = out;
    if (out.bytes.size() > kBuffer) now.bytes.remove_suffix(kBuffer);
    const std::int64_t put = CK_TRY(send(how, fd, now));
    if (put <= 0) return cannot_put_back(put);
    out.bytes.remove_prefix(static_cast<std::size_t>(put));
    out.fds.clear();  // they go with the first byte
  }
  return {};
}

Status put_message(const Refill& how, const std::string& sender, const Outgoing& out) {
  std::int64_t put = -EAGAIN;
  for (const bool again : {false, true})
    if (put == -EAGAIN) put = CK_TRY(send(how, CK_TRY(how.sender(sender, again)), out));
  if (put != static_cast<std::int64_t>(out.bytes.size())) return cannot_put_back(put);
  return {};
}

bool has_process(const RestoreSession& session, pid_t pid) {
  return std::any_of(session.context.processes.begin(), session.context.processes.end(),
                     [pid](const RestoreProcess& one) { return one.record->pid() == pid; });
}

}  // namespace

bool is_peer_in_job(const CaptureSession& session, const OpenFile& file, ino_t peer) {
  // All sockets are of one device.
  return peer == 0 || !session.of_inode(file.status.st_dev, peer).empty();
}

Status add_unread(CaptureSession& session, ino_t socket, SocketState& state) {
  const Unread& unread = session.unread[socket];
  CK_TRY(Status(unread.status));
  for (const std::string& piece : unread.pieces) state.add_pieces(piece);
  for (const Unread::Passed& passed : unread.passed) {
    SocketState::Passed& out = *state.add_passed();
    out.set_piece(static_cast<unsigned>(passed.piece));
    for (std::uint32_t open_file : passed.open_files) out.add_open_files(open_file);
  }
  for (const Unread::Sender& sender : unread.senders) {
    SocketState::Sender& out = *state.add_senders();
    out.set_piece(static_cast<unsigned>(sender.piece));
    out.set_name(sender.name);
    std::optional<std::size_t> process =
        sender.pid == 0 ? std::nullopt : session.find_process(RealPid(sender.pid));
    if (process) out.set_pid(session.processes[*process].record->pid());
  }
  return {};
}

Status refill(const Refill& how) {
  for (int i = 0; i < how.reader.pieces_size(); ++i) {
    const auto number = static_cast<std::size_t>(i);
    const SocketState::Sender sender = sender_of(how.reader, number);
    const std::vector<UniqueFd> passed = CK_TRY(fetch_passed(how.session, how.reader, number));
    Outgoing out{how.reader.pieces(i), {}, 0};
    for (const UniqueFd& one : passed) out.fds.push_back(one.get());
    if (has_process(how.session, sender.pid())) out.pid = sender.pid();
    if (how.reader.type() == SOCK_STREAM)
      CK_TRY(put_stream(how, CK_TRY(how.sender(sender.name(), false)), std::move(out)));
    else
      CK_TRY(put_message(how, sender.name(), out));
  }
  return {};
}

// An end of a connection may itself be on its way: until nothing new comes up.
Status collect_unread(CaptureSession& session) {
  for (std::size_t before = 0; before != session.files.size();) {
    before = session.files.size();
    for (std::size_t i = 0; i < session.files.size(); ++i) {
      const OpenFile& file = session.files[i];
      const ino_t inode = file.status.st_ino;
      if (!S_ISSOCK(file.status.st_mode) || session.unread.contains(inode)) continue;
      if (int_option(file.duplicate.get(), SOL_SOCKET, SO_DOMAIN) != AF_UNIX) continue;
      auto found = CK_TRY(proc::find_unix_socket(inode));
      if (!found || !may_have_unread(*found) ||
          (found->type != SOCK_DGRAM && !is_peer_in_job(session, file, found->peer)))
        continue;
      const int fd = file.duplicate.get();
      Unread& unread = session.unread[inode];
      unread.status = found->type == SOCK_STREAM ? read_stream(session, fd, found->unread, unread)
                                                 : read_messages(session, fd, unread);
    }
  }
  return {};
}

}  // namespace ck::resources
