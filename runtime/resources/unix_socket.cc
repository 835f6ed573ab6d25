// Connected UNIX sockets with both ends in the job, or whose other end was closed, and what is
// unread in them. All other sockets are refused by name.
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "runtime/proc/pass_descriptor.h"
#include "runtime/proc/pidfd.h"
#include "runtime/proc/sock_diag.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/pipe_ends.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/socket_name.h"
#include "runtime/resources/states.pb.h"
#include "runtime/resources/table.h"

namespace ck::resources {
namespace {

constexpr std::size_t kMaxMessage = 4 << 20;

bool is_connected(const proc::UnixSocket& socket) {
  constexpr int kEstablished = 1;  // TCP_ESTABLISHED
  return socket.has_peer && socket.state == kEstablished;
}

bool recognises(const CaptureSession&, const OpenFile& file) {
  if (!S_ISSOCK(file.status.st_mode)) return false;
  Result<std::optional<proc::UnixSocket>> found = proc::find_unix_socket(file.status.st_ino);
  return found.ok() && found->has_value();
}

bool is_in_job(const CaptureSession& session, const OpenFile& file, ino_t peer) {
  return !session.of_inode(file.status.st_dev, peer).empty();  // all sockets are of one device
}

Error refused(const OpenFile& file, const char* why) {
  return make_error(ErrorKind::kRefused, "it is " + describe_socket(file.duplicate.get()) + why,
                    "close it before the checkpoint, or start the job without it (" +
                        std::to_string(file.entry.fd) + ">&-)");
}

// What getsockopt tells and setsockopt accepts.
struct Option {
  int name;
  std::size_t size;
};
constexpr Option kOptions[] = {
    {SO_PASSCRED, sizeof(int)},     {SO_PASSSEC, sizeof(int)},  {SO_RCVTIMEO, sizeof(timeval)},
    {SO_SNDTIMEO, sizeof(timeval)}, {SO_RCVLOWAT, sizeof(int)}, {SO_KEEPALIVE, sizeof(int)},
    {SO_TIMESTAMP, sizeof(int)},    {SO_PEEK_OFF, sizeof(int)}, {SO_SNDBUF, sizeof(int)},
    {SO_RCVBUF, sizeof(int)},
};

Status capture_options(int fd, SocketState& state) {
  for (const Option& option : kOptions) {
    char value[sizeof(timeval)] = {};
    socklen_t length = static_cast<socklen_t>(option.size);
    if (::getsockopt(fd, SOL_SOCKET, option.name, value, &length) != 0) continue;  // older kernel
    if (option.name == SO_SNDBUF || option.name == SO_RCVBUF) {
      *reinterpret_cast<int*>(value) /= 2;  // the kernel doubles what it is given
    }
    SocketState::Option& out = *state.add_options();
    out.set_level(SOL_SOCKET);
    out.set_name(option.name);
    out.set_value(value, option.size);
  }
  return {};
}

struct Piece {
  std::string bytes;
  std::vector<UniqueFd> passed;
};

void take_passed(msghdr& message, Piece& piece) {
  for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
       part = CMSG_NXTHDR(&message, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
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
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  ssize_t got = ::recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT | MSG_TRUNC | MSG_CMSG_CLOEXEC);
  if (got < 0 && errno == EAGAIN) return std::optional<Piece>();
  if (got < 0) return sys_error("look at what is unread in a socket");
  std::optional<Piece> piece(std::in_place);
  take_passed(message, *piece);
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

// SO_PEEK_OFF makes peeking go on where it stopped. It is a state of the socket: put back after.
class PeekOffset {
 public:
  explicit PeekOffset(int fd) : fd_(fd) {
    socklen_t length = sizeof before_;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &before_, &length) != 0) before_ = -1;
    go_to(0);
  }
  ~PeekOffset() { set(before_); }
  void go_to(std::size_t offset) { set(static_cast<int>(offset)); }

 private:
  void set(int offset) { ::setsockopt(fd_, SOL_SOCKET, SO_PEEK_OFF, &offset, sizeof offset); }
  int fd_;
  int before_ = -1;
};

// A stream yields in one piece what was sent before and what came with descriptors, to the end of
// the latter; whoever reads less gets them with their first byte only. How many bytes are before
// that: the kernel leaves out of a piece what it cannot copy whole, and the last byte goes nowhere.
Result<std::size_t> bytes_before_passed(int fd, PeekOffset& offset, std::size_t start,
                                        std::size_t length, std::span<char> buffer) {
  iovec parts[] = {{buffer.data(), length - 1}, {nullptr, 1}};
  msghdr message{};
  message.msg_iov = parts;
  message.msg_iovlen = 2;
  offset.go_to(start);
  ssize_t got = ::recvmsg(fd, &message, MSG_PEEK | MSG_DONTWAIT);
  if (got < 0 && errno != EFAULT) return sys_error("look at what is unread in a socket");
  offset.go_to(start + length);
  return static_cast<std::size_t>(std::max<ssize_t>(got, 0));
}

using Unread = CaptureSession::Unread;

Status add_piece(CaptureSession& session, Piece piece, Unread& unread) {
  if (!piece.passed.empty()) {
    Unread::Passed& passed = unread.passed.emplace_back();
    passed.piece = unread.pieces.size();
    for (UniqueFd& fd : piece.passed)
      passed.open_files.push_back(CK_TRY(session.add_passed(std::move(fd))));
  }
  unread.pieces.push_back(std::move(piece.bytes));
  return {};
}

Status read_unread(CaptureSession& session, int fd, bool is_stream, Unread& unread) {
  PeekOffset offset(fd);
  std::vector<char> buffer(kMaxMessage);
  for (std::size_t pieces = 0, start = 0; pieces < kMaxMessage; ++pieces) {
    std::optional<Piece> piece = CK_TRY(peek(fd, buffer));
    std::size_t length = piece ? piece->bytes.size() : 0;
    if (!piece || (is_stream && length == 0)) return {};
    if (is_stream && !piece->passed.empty()) {
      std::size_t before = CK_TRY(bytes_before_passed(fd, offset, start, length, buffer));
      if (before > 0) unread.pieces.push_back(piece->bytes.substr(0, before));
      piece->bytes.erase(0, before);
    }
    start += length;
    CK_TRY(add_piece(session, *std::move(piece), unread));
    if (!is_stream && length == 0) break;  // peeking does not get past an empty message
  }
  return is_stream ? Status()
                   : make_error(ErrorKind::kRefused, "an empty message is unread in this socket",
                                "try again when the program has received it");
}

// The process of the job whose credentials the other end is told (SO_PEERCRED): the one that made
// the pair. 0: it has ended.
pid_t find_creator(const CaptureSession& session, int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0) return 0;
  std::optional<std::size_t> creator = session.find_process(RealPid(peer.pid));
  return creator ? session.processes[*creator].record->pid() : 0;
}

Status add_unread(const Unread& unread, SocketState& state) {
  CK_TRY(Status(unread.status));
  for (const std::string& piece : unread.pieces) state.add_pieces(piece);
  for (const Unread::Passed& passed : unread.passed) {
    SocketState::Passed& out = *state.add_passed();
    out.set_piece(static_cast<unsigned>(passed.piece));
    for (std::uint32_t open_file : passed.open_files) out.add_open_files(open_file);
  }
  return {};
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  auto found = CK_TRY(proc::find_unix_socket(file.status.st_ino));
  if (!found) return refused(file, "");
  if (!is_connected(*found)) return refused(file, ", which is not connected");
  if (!found->name.empty()) return refused(file, ", which has a name");
  if (found->peer != 0 && !is_in_job(session, file, found->peer))
    return refused(file, " connected to a process outside of the job");
  if (!file.duplicate || session.survey) return {};
  SocketState state;
  state.set_id(file.status.st_ino);
  state.set_peer(found->peer);
  state.set_type(found->type);
  state.set_shutdown(found->shutdown);
  state.set_creator(find_creator(session, file.duplicate.get()));
  CK_TRY(capture_options(file.duplicate.get(), state));
  CK_TRY(add_unread(session.unread[file.status.st_ino], state));
  record.set_state(state.SerializeAsString());
  return {};
}

// Both ends are made in one process, whose credentials the other end can ask for.
Result<std::array<int, 2>> make_pair(RestoreSession& session, int type) {
  proc::Mailbox& box = session.box();
  auto numbers = box.reserve(2 * sizeof(int));
  CK_TRY(box.call("create a pair of sockets", SYS_socketpair, AF_UNIX, type | SOCK_CLOEXEC, 0,
                  numbers));
  auto made = box.value_at<std::array<int, 2>>(numbers);
  return std::array<int, 2>{CK_TRY(session.move_up(made[0])), CK_TRY(session.move_up(made[1]))};
}

const image::OpenFileRecord* record_of(const RestoreSession& session, std::uint64_t socket,
                                       SocketState& state) {
  for (const auto& record : session.manifest.open_files()) {
    if (record.kind() == kUnixSocket.name && state.ParseFromString(record.state()) &&
        state.id() == socket) {
      return &record;
    }
  }
  return nullptr;
}

Status set_options(int fd, const SocketState& state) {
  for (const SocketState::Option& option : state.options()) {
    const auto& value = option.value();
    int result = ::setsockopt(fd, option.level(), option.name(), value.data(),
                              static_cast<socklen_t>(value.size()));
    bool unset_peek = option.name() == SO_PEEK_OFF;
    if (result != 0 && !unset_peek)
      return sys_error("set option " + std::to_string(option.name()) + " of a socket");
  }
  return {};
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

// What `reader` has not read yet is sent again by its other end, before that is shut down.
Status refill(RestoreSession& session, int sender, const SocketState& reader) {
  for (int i = 0; i < reader.pieces_size(); ++i) {
    const std::string& piece = reader.pieces(i);
    std::vector<UniqueFd> passed =
        CK_TRY(fetch_passed(session, reader, static_cast<std::size_t>(i)));
    std::vector<int> fds;
    for (const UniqueFd& fd : passed) fds.push_back(fd.get());
    ssize_t put = proc::send_with_descriptors(sender, piece, fds);
    if (put != static_cast<ssize_t>(piece.size())) {
      return sys_error("put back what was unread in a socket", put < 0 ? errno : EAGAIN);
    }
  }
  return {};
}

int shutdown_way(std::uint32_t mask) {
  constexpr int kWays[] = {-1, SHUT_RD, SHUT_WR, SHUT_RDWR};
  return kWays[mask & 3];
}

Status set_up_pair(RestoreSession& session, const std::array<int, 2>& numbers,
                   const SocketState& first, const SocketState* second) {
  proc::PidFd process = CK_TRY(proc::PidFd::open(session.box().pid()));
  UniqueFd a = CK_TRY(process.get_descriptor(numbers[0]));
  UniqueFd b = CK_TRY(process.get_descriptor(numbers[1]));
  CK_TRY(set_options(a.get(), first));
  if (second != nullptr) CK_TRY(set_options(b.get(), *second));
  CK_TRY(refill(session, b.get(), first));
  if (second != nullptr) CK_TRY(refill(session, a.get(), *second));
  if (first.shutdown() != 0 && second != nullptr)
    ::shutdown(a.get(), shutdown_way(first.shutdown()));
  if (second != nullptr && second->shutdown() != 0)
    ::shutdown(b.get(), shutdown_way(second->shutdown()));
  return {};
}

Result<int> restore_pair(RestoreSession& session, const SocketState& state) {
  SocketState other;
  bool paired = state.peer() != 0 && record_of(session, state.peer(), other) != nullptr;
  std::array<int, 2> pair = CK_TRY(make_pair(session, state.type()));
  if (paired) session.sockets[state.peer()] = {session.process, pair[1]};
  auto set_up = [&session, pair, state, other, paired, there = session.process]() -> Status {
    RestoreSession::Visit visit(session, there);
    CK_TRY(set_up_pair(session, pair, state, paired ? &other : nullptr));
    if (!paired) CK_TRY(session.box().call("close a socket", SYS_close, pair[1]));
    return {};
  };
  // What is on its way has to be made first.
  if (state.passed_size() + other.passed_size() > 0) {
    session.later.emplace_back(set_up);
  } else {
    CK_TRY(set_up());
  }
  return pair[0];
}

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<SocketState>(record));
  auto made_with_peer = session.sockets.find(state.id());
  bool is_made = made_with_peer != session.sockets.end();
  RestoreSession::Visit visit(
      session, is_made ? made_with_peer->second.process : session.find_process(state.creator()));
  int number = is_made ? made_with_peer->second.fd : CK_TRY(restore_pair(session, state));
  CK_TRY(session.set_flags(number, record.flags()));
  return Restored::at({session.process, number});
}

}  // namespace

// An end of a connection may itself be on its way: until nothing new comes up.
Status collect_unread(CaptureSession& session) {
  for (std::size_t before = 0; before != session.files.size();) {
    before = session.files.size();
    for (std::size_t i = 0; i < session.files.size(); ++i) {
      const OpenFile& file = session.files[i];
      const ino_t inode = file.status.st_ino;
      if (!S_ISSOCK(file.status.st_mode) || session.unread.contains(inode)) continue;
      auto found = CK_TRY(proc::find_unix_socket(inode));
      if (!found || !is_connected(*found) || found->unread == 0 ||
          (found->peer != 0 && !is_in_job(session, file, found->peer)))
        continue;
      Unread& unread = session.unread[inode];
      unread.status =
          read_unread(session, file.duplicate.get(), found->type == SOCK_STREAM, unread);
    }
  }
  return {};
}

bool has_peer_in_job(const CaptureSession& session, const OpenFile& file) {
  Result<std::optional<proc::UnixSocket>> found = proc::find_unix_socket(file.status.st_ino);
  if (!found.ok() || !found->has_value()) return false;
  return (*found)->has_peer && ((*found)->peer == 0 || is_in_job(session, file, (*found)->peer));
}

const Kind kUnixSocket = {"unix_socket", recognises, capture, restore};

}  // namespace ck::resources
