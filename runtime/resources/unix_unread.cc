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

Status read_stream(CaptureSession& session, int fd, Unread& unread) {
  const OptionForNow offset(fd, SOL_SOCKET, SO_PEEK_OFF, 0);
  std::vector<char> buffer(kMaxMessage);
  for (std::size_t start = 0;;) {
    std::optional<Piece> piece = CK_TRY(peek(fd, buffer));
    if (!piece || piece->bytes.empty()) return {};
    const std::size_t length = piece->bytes.size();
    if (!piece->passed.empty()) {
      std::size_t before = CK_TRY(bytes_before_passed(fd, start, length, buffer));
      if (before > 0) unread.pieces.push_back(piece->bytes.substr(0, before));
      piece->bytes.erase(0, before);
    }
    start += length;
    CK_TRY(add_piece(session, *std::move(piece), unread));
  }
}

// Peeking by offset passes over an empty message that was looked at before: where the first one is
// empty, it is counted by a look without an offset. Credentials come with every message, and not
// with the end of a connection.
Status read_messages(CaptureSession& session, int fd, Unread& unread) {
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

ssize_t send_as_engine(const Refill& how, int fd, const std::string& piece,
                       std::span<const int> fds) {
  return proc::send_with_descriptors(fd, piece, fds, how.address, how.length);
}

// The kernel takes the credentials of a message from the process that sends it.
Result<ssize_t> send_as(const Refill& how, std::size_t process, int fd, const std::string& piece) {
  RestoreSession::Visit visit(how.session, process);
  const int number = CK_TRY(how.session.give(UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0))));
  proc::Mailbox& box = how.session.box();
  box.clear();
  const auto bytes = box.put(std::as_bytes(std::span(piece)));
  proc::Mailbox::Address address = 0;
  if (how.address != nullptr)
    address =
        box.put(std::as_bytes(std::span(reinterpret_cast<const char*>(how.address), how.length)));
  auto sent = box.add(SYS_sendto, number, bytes, piece.size(), MSG_DONTWAIT | MSG_NOSIGNAL, address,
                      how.length);
  box.add(SYS_close, number);
  CK_TRY(box.run());
  const std::int64_t result = box.result(sent);
  box.clear();
  if (result < 0)
    return sys_error("put back what was unread in a socket", static_cast<int>(-result));
  return static_cast<ssize_t>(result);
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
    const std::string& piece = how.reader.pieces(i);
    const SocketState::Sender sender = sender_of(how.reader, static_cast<std::size_t>(i));
    const int fd = CK_TRY(how.sender(sender.name()));
    std::vector<UniqueFd> passed =
        CK_TRY(fetch_passed(how.session, how.reader, static_cast<std::size_t>(i)));
    std::vector<int> fds;
    for (const UniqueFd& one : passed) fds.push_back(one.get());
    const bool small = piece.size() + 1024 < how.session.box().space_left();
    ssize_t put = -1;
    if (sender.pid() != 0 && fds.empty() && small && has_process(how.session, sender.pid())) {
      put = CK_TRY(send_as(how, how.session.find_process(sender.pid()), fd, piece));
    } else {
      put = send_as_engine(how, fd, piece, fds);
    }
    if (put != static_cast<ssize_t>(piece.size()))
      return sys_error("put back what was unread in a socket", put < 0 ? errno : EAGAIN);
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
      unread.status = found->type == SOCK_STREAM ? read_stream(session, fd, unread)
                                                 : read_messages(session, fd, unread);
    }
  }
  return {};
}

}  // namespace ck::resources
