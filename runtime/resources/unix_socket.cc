// UNIX sockets: pairs, and those bound, listening, connected by name, with what is unread in them.
// The sockets of a job hang together, so all are made when the first one is asked for.
#include <fcntl.h>
#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "runtime/proc/sock_diag.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/pipe_ends.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/socket_name.h"
#include "runtime/resources/socket_options.h"
#include "runtime/resources/states.pb.h"
#include "runtime/resources/table.h"
#include "runtime/resources/unix_address.h"
#include "runtime/resources/unix_unread.h"

namespace ck::resources {
namespace {

constexpr int kListening = 10;  // TCP_LISTEN
constexpr std::uint32_t kShutBoth = 3;

bool recognises(const CaptureSession&, const OpenFile& file) {
  if (!S_ISSOCK(file.status.st_mode)) return false;
  if (file.duplicate) return int_option(file.duplicate.get(), SOL_SOCKET, SO_DOMAIN) == AF_UNIX;
  Result<std::optional<proc::UnixSocket>> found = proc::find_unix_socket(file.status.st_ino);
  return found.ok() && found->has_value();
}

Error refused(const OpenFile& file, const char* why) {
  return make_error(ErrorKind::kRefused, "it is " + describe_socket(file.duplicate.get()) + why,
                    "close it before the checkpoint, or start the job without it (" +
                        std::to_string(file.entry.fd) + ">&-)");
}

bool is_stream(const SocketState& state) {
  return state.type() != SOCK_DGRAM;
}

// A closed end shuts the other one down; one that was not accepted yet does not.
bool is_waiting(const proc::UnixSocket& socket) {
  return socket.type != SOCK_DGRAM && socket.has_peer && socket.peer == 0 &&
         socket.shutdown != kShutBoth;
}

bool waits_in_job(const CaptureSession& session, ino_t socket) {
  return std::any_of(session.files.begin(), session.files.end(), [&](const OpenFile& file) {
    if (!S_ISSOCK(file.status.st_mode)) return false;
    Result<std::optional<proc::UnixSocket>> other = proc::find_unix_socket(file.status.st_ino);
    return other.ok() && other->has_value() && (*other)->state == kListening &&
           std::count((*other)->waiting.begin(), (*other)->waiting.end(), socket) != 0;
  });
}

Status check_peer(const CaptureSession& session, const OpenFile& file,
                  const proc::UnixSocket& socket) {
  if (!socket.has_peer || socket.state == kListening) return {};
  if (!is_peer_in_job(session, file, socket.peer)) {
    std::string name = file.duplicate ? peer_name(file.duplicate.get()) : "";
    if (socket.type != SOCK_DGRAM || name.empty() || (is_path(name) && name[0] != '/'))
      return refused(file, " connected to a process outside of the job");
  }
  if (!is_waiting(socket) || session.survey || !file.duplicate) return {};
  if (!waits_in_job(session, file.status.st_ino))
    return refused(file, ", which waits to be accepted outside of the job");
  int sent = 0;
  ::ioctl(file.duplicate.get(), SIOCOUTQ, &sent);
  if (sent == 0) return {};
  return make_error(ErrorKind::kTryAgain,
                    "something was sent through this socket, and the other end is not accepted yet",
                    "try again when the program has accepted the connection")
      .that_passes();
}

// The process of the job whose credentials this end is told (SO_PEERCRED): the one that made the
// pair, or connected the other end, or listened for it. A listener is told of itself. 0: it has
// ended.
pid_t find_peer_process(const CaptureSession& session, int fd) {
  ucred peer{};
  socklen_t length = sizeof peer;
  if (::getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) != 0 || peer.pid == 0) return 0;
  std::optional<std::size_t> creator = session.find_process(RealPid(peer.pid));
  return creator ? session.processes[*creator].record->pid() : 0;
}

// Whether it has yet to report that the other end was closed with something unread (ECONNRESET).
bool is_reset(int fd, const proc::UnixSocket& socket) {
  pollfd poll{fd, 0, 0};
  ::poll(&poll, 1, 0);
  return socket.has_peer && socket.peer == 0 && (poll.revents & POLLERR) != 0;
}

Status capture(CaptureSession& session, OpenFile& file, image::OpenFileRecord& record) {
  auto found = CK_TRY(proc::find_unix_socket(file.status.st_ino));
  if (!found) return refused(file, "");
  CK_TRY(check_peer(session, file, *found));
  if (!file.duplicate || session.survey) return {};
  const int fd = file.duplicate.get();
  if (has_filter(fd)) return refused(file, ", which has a packet filter");
  SocketState state;
  state.set_id(file.status.st_ino);
  state.set_type(found->type);
  state.set_connected(found->has_peer && found->state != kListening);
  state.set_peer(found->peer);
  state.set_peer_name(peer_name(fd));
  state.set_shutdown(found->shutdown);
  state.set_peer_process(find_peer_process(session, fd));
  state.set_name(found->name);
  if (is_path(found->name))
    *state.mutable_file() =
        find_file(session, file, found->name, found->file_device, found->file_inode);
  state.set_listening(found->state == kListening);
  state.set_backlog(found->state == kListening ? found->backlog : 0);
  for (ino_t inode : found->waiting) state.add_waiting(inode);
  capture_common_options(fd, *state.mutable_options());
  state.set_reset(is_reset(fd, *found));
  CK_TRY(add_unread(session, file.status.st_ino, state));
  record.set_state(state.SerializeAsString());
  return {};
}

int shutdown_way(std::uint32_t mask) {
  constexpr int kWays[] = {-1, SHUT_RD, SHUT_WR, SHUT_RDWR};
  return kWays[mask & 3];
}

struct Socket {
  SocketState state;
  std::size_t process = 0;
  int fd = -1;  // there
};

// Makes all UNIX sockets of an image.
class Builder {
 public:
  explicit Builder(RestoreSession& session) : session_(session) {
    for (const auto& record : session.manifest.open_files()) {
      SocketState state;
      if (record.kind() == kUnixSocket.name && state.ParseFromString(record.state()))
        sockets_[state.id()].state = std::move(state);
    }
    for (auto& [id, socket] : sockets_) {
      Socket* peer = peer_of(socket);
      socket.process = told_process(peer != nullptr ? *peer : socket);
    }
  }

  Status make_all() {
    // A name whose file is gone may have been taken over by another socket since.
    for (bool exists : {false, true}) CK_TRY(serve_names(exists));
    for (auto& [id, socket] : sockets_)
      if (socket.fd < 0 && is_paired(socket)) CK_TRY(make_pair(socket));
    for (bool exists : {false, true}) {
      for (auto& [id, socket] : sockets_)
        if (socket.fd < 0 && socket.state.file().exists() == exists) CK_TRY(make_single(socket));
    }
    for (auto& [id, socket] : sockets_) session_.sockets[id] = {socket.process, socket.fd};
    return {};
  }

  // When everything that may be on its way is there.
  Status finish() {
    std::map<std::uint64_t, SocketOptions> sizes;
    for (auto& [id, socket] : sockets_) {
      sizes[id] = take_buffer_sizes(*socket.state.mutable_options());
      CK_TRY(set_there(socket, socket.state.options()));
    }
    for (auto& [id, socket] : sockets_) CK_TRY(refill_socket(socket));
    for (auto& [id, socket] : sockets_) CK_TRY(set_there(socket, sizes[id]));
    for (auto& [id, socket] : sockets_)
      if (!is_stream(socket.state)) CK_TRY(connect_datagrams(socket));
    for (auto& [id, socket] : sockets_) CK_TRY(shut_down(socket));
    for (auto& [id, socket] : sockets_) CK_TRY(leave_unread(socket));
    for (auto [process, fd] : lent_) {
      RestoreSession::Visit visit(session_, process);
      CK_TRY(session_.box().call("close a socket", SYS_close, fd));
    }
    return {};
  }

 private:
  Socket* find(std::uint64_t id) {
    auto found = sockets_.find(id);
    return id == 0 || found == sockets_.end() ? nullptr : &found->second;
  }
  // Who must have made the other end. Where there is none any more, it makes this one too.
  std::size_t told_process(const Socket& socket) const {
    return session_.find_process(socket.state.peer_process());
  }
  Socket* peer_of(const Socket& socket) {
    return socket.state.connected() ? find(socket.state.peer()) : nullptr;
  }
  bool is_waiting(std::uint64_t id) {
    return std::any_of(sockets_.begin(), sockets_.end(), [id](const auto& entry) {
      const auto& waiting = entry.second.state.waiting();
      return std::count(waiting.begin(), waiting.end(), id) != 0;
    });
  }

  // Which end of a connection was accepted: that with the listener's name. If both have a name, the
  // end that was made later.
  bool was_accepted(const Socket& socket) {
    if (!is_stream(socket.state) || !socket.state.connected() || socket.state.name().empty())
      return false;
    const bool other_named = !socket.state.peer_name().empty();
    return !other_named || socket.state.id() > socket.state.peer();
  }
  // Streams connect by name unless neither end has one.
  bool is_paired(const Socket& socket) {
    if (!socket.state.connected()) return false;
    const bool unnamed = socket.state.name().empty() || socket.state.peer_name().empty();
    Socket* peer = peer_of(socket);
    if (is_stream(socket.state))
      return socket.state.name().empty() && socket.state.peer_name().empty();
    if (peer == nullptr) return socket.state.peer() == 0;
    return unnamed && peer->state.connected() && peer->state.peer() == socket.state.id();
  }

  Result<UniqueFd> fetch(const Socket& socket) {
    return session_.fetch({socket.process, socket.fd});
  }

  Result<int> new_socket(int type) {
    long fd =
        CK_TRY(session_.box().call("create a socket", SYS_socket, AF_UNIX, type | SOCK_CLOEXEC, 0));
    return session_.move_up(static_cast<int>(fd));
  }

  Status make_pair(Socket& socket) {
    RestoreSession::Visit visit(session_, socket.process);
    proc::Mailbox& box = session_.box();
    auto numbers = box.reserve(2 * sizeof(int));
    auto call = box.add(SYS_socketpair, AF_UNIX, socket.state.type() | SOCK_CLOEXEC, 0, numbers);
    CK_TRY(box.run());
    CK_TRY(box.expect_all("create a pair of sockets"));
    (void)call;
    auto made = box.value_at<std::array<int, 2>>(numbers);
    box.clear();
    socket.fd = CK_TRY(session_.move_up(made[0]));
    const int second = CK_TRY(session_.move_up(made[1]));
    if (!socket.state.name().empty()) CK_TRY(bind_once(socket));
    Socket* peer = peer_of(socket);
    if (peer == nullptr) return lend(socket.state.id(), second), Status();
    peer->fd = second;
    peer->process = session_.process;
    return peer->state.name().empty() ? Status() : bind_once(*peer);
  }

  Status bind_once(Socket& socket) {
    CK_TRY(bind_there(session_, socket.fd, socket.state));
    return unlink_unless_kept(session_, socket.state);
  }

  Status make_single(Socket& socket) {
    RestoreSession::Visit visit(session_, socket.process);
    socket.fd = CK_TRY(new_socket(socket.state.type()));
    return socket.state.name().empty() ? Status() : bind_once(socket);
  }

  // The other end of a connection that nobody has any more, or a helper: closed at the end.
  void lend(std::uint64_t id, int fd) {
    lent_.push_back({session_.process, fd});
    other_ends_[id] = lent_.back();
  }

  // Listeners, and what was accepted from them.
  Status serve_names(bool exists) {
    std::set<std::string> names;
    for (auto& [id, socket] : sockets_) {
      if (socket.state.file().exists() == exists &&
          (socket.state.listening() || was_accepted(socket)))
        names.insert(socket.state.name());
    }
    // A connection whose accepted end is gone: the name is that of the other one's peer.
    for (auto& [id, socket] : sockets_) {
      if (!exists && is_stream(socket.state) && socket.state.connected() &&
          peer_of(socket) == nullptr && !is_waiting(id) && !was_accepted(socket) &&
          !socket.state.peer_name().empty() && !is_served(socket.state.peer_name()))
        names.insert(socket.state.peer_name());
    }
    for (const std::string& name : names) CK_TRY(serve_name(name, exists));
    return {};
  }

  bool is_served(const std::string& name) {
    return std::any_of(sockets_.begin(), sockets_.end(), [&](const auto& entry) {
      const Socket& socket = entry.second;
      return socket.state.name() == name && (socket.state.listening() || was_accepted(socket));
    });
  }

  // The client ends of connections through a name, served by a socket with or without a file.
  std::vector<std::pair<Socket*, Socket*>> connections(const std::string& name, bool exists) {
    std::vector<std::pair<Socket*, Socket*>> found;  // client, accepted; either may be null
    for (auto& [id, socket] : sockets_) {
      if (socket.fd >= 0) continue;
      if (was_accepted(socket) && socket.state.name() == name &&
          socket.state.file().exists() == exists) {
        found.emplace_back(peer_of(socket), &socket);
      } else if (is_stream(socket.state) && socket.state.connected() && !was_accepted(socket) &&
                 peer_of(socket) == nullptr && !is_waiting(id) &&
                 socket.state.peer_name() == name) {
        found.emplace_back(&socket, nullptr);
      }
    }
    return found;
  }

  // Somebody with that name: the listener itself, or a helper for the moment.
  Socket server_for(const std::string& name, bool exists,
                    const std::vector<std::pair<Socket*, Socket*>>& through) {
    Socket server;
    server.state.set_type(SOCK_STREAM);
    server.state.set_name(name);
    server.process = session_.process;
    for (auto [client, accepted] : through) {
      if (accepted != nullptr) {
        *server.state.mutable_file() = accepted->state.file();
        server.state.set_type(accepted->state.type());
      }
      if (client != nullptr) {
        server.process = told_process(*client);
        server.state.set_type(client->state.type());
      }
    }
    server.state.mutable_file()->set_exists(exists && server.state.file().exists());
    return server;
  }

  Status serve_name(const std::string& name, bool exists) {
    const auto through = connections(name, exists);
    std::vector<Socket*> listeners;
    for (auto& [id, socket] : sockets_) {
      if (socket.state.listening() && socket.state.name() == name &&
          socket.state.file().exists() == exists)
        listeners.push_back(&socket);
    }
    Socket helper = server_for(name, exists, through);
    Socket& server = listeners.empty() ? helper : *listeners.front();
    RestoreSession::Visit visit(session_, server.process);
    server.fd = CK_TRY(new_socket(server.state.type()));
    CK_TRY(bind_there(session_, server.fd, server.state));
    const unsigned backlog = listeners.empty() ? 1 : server.state.backlog();
    CK_TRY(session_.box().call("listen at " + readable_name(name), SYS_listen, server.fd, backlog));
    for (auto [client, accepted] : through) CK_TRY(connect_through(server, client, accepted));
    for (std::uint64_t waiting : server.state.waiting()) CK_TRY(connect_waiting(server, waiting));
    CK_TRY(unlink_unless_kept(session_, server.state));
    if (listeners.empty()) CK_TRY(session_.box().call("close a socket", SYS_close, server.fd));
    return {};
  }

  Status connect_waiting(const Socket& server, std::uint64_t id) {
    Socket* client = find(id);
    if (client != nullptr) return connect_client(server, *client);
    session_.warn("a connection from outside that waited at " + readable_name(server.state.name()) +
                  " is lost");
    return {};
  }

  Status connect_client(const Socket& server, Socket& client) {
    RestoreSession::Visit visit(session_, client.process);
    client.fd = CK_TRY(new_socket(client.state.type()));
    if (!client.state.name().empty()) CK_TRY(bind_once(client));
    return connect_there(session_, client.fd, server.state);
  }

  Result<ino_t> inode_of(const Socket& socket) {
    const UniqueFd fd = CK_TRY(fetch(socket));
    struct stat status {};
    if (::fstat(fd.get(), &status) != 0) return sys_error("look at a socket");
    return status.st_ino;
  }

  // Somebody else may connect meanwhile: they are turned away.
  Result<int> accept_from(const Socket& server, const Socket& client) {
    const ino_t wanted = CK_TRY(inode_of(client));
    for (;;) {
      RestoreSession::Visit visit(session_, server.process);
      long fd = CK_TRY(
          session_.box().call("accept a connection", SYS_accept4, server.fd, 0, 0, SOCK_CLOEXEC));
      const Socket accepted{{}, server.process, CK_TRY(session_.move_up(static_cast<int>(fd)))};
      auto found = CK_TRY(proc::find_unix_socket(CK_TRY(inode_of(accepted))));
      if (found && found->peer == wanted) return accepted.fd;
      CK_TRY(session_.box().call("close a socket", SYS_close, accepted.fd));
    }
  }

  Status connect_through(const Socket& server, Socket* client, Socket* accepted) {
    Socket helper;
    if (client == nullptr) {
      helper.process = accepted->process;
      helper.state.set_type(accepted->state.type());
      helper.state.set_name(accepted->state.peer_name());
      client = &helper;
    }
    CK_TRY(connect_client(server, *client));
    if (client == &helper) {
      RestoreSession::Visit visit(session_, helper.process);
      lend(accepted->state.id(), helper.fd);
    }
    const int fd = CK_TRY(accept_from(server, *client));
    RestoreSession::Visit visit(session_, server.process);
    if (accepted == nullptr) return lend(client->state.id(), fd), Status();
    accepted->process = server.process;
    accepted->fd = fd;
    return {};
  }

  Status set_there(const Socket& socket, const SocketOptions& options) {
    if (options.empty()) return {};
    std::string missing;
    const UniqueFd fd = CK_TRY(fetch(socket));
    CK_TRY(set_options(fd.get(), options, missing));
    if (!missing.empty()) session_.warn("a UNIX socket has lost options " + missing);
    return {};
  }

  // A descriptor of ours of the other end of a connection.
  Result<UniqueFd> other_end(const Socket& socket) {
    if (Socket* peer = peer_of(socket); peer != nullptr) return fetch(*peer);
    auto lent = other_ends_.find(socket.state.id());
    if (lent == other_ends_.end())
      return make_error(ErrorKind::kBadImage, "a socket without another end has unread content");
    return session_.fetch(lent->second);
  }

  Status refill_socket(Socket& socket) {
    if (socket.state.pieces_size() == 0) return {};
    if (is_stream(socket.state) || is_paired(socket)) {
      const UniqueFd sender = CK_TRY(other_end(socket));
      const RoomForNow room(sender.get(), SO_SNDBUF, kMostRoom);
      return refill(
          {session_, socket.state, [&](const std::string&, bool) { return sender.get(); }});
    }
    return refill_datagrams(socket);
  }

  Status refill_datagrams(Socket& socket) {
    if (socket.state.name().empty())
      return make_error(ErrorKind::kBadImage, "a socket without a name has unread messages");
    if (is_path(socket.state.name()) && !socket.state.file().exists()) {
      session_.warn("messages to " + readable_name(socket.state.name()) +
                    ", whose file is gone, are lost");
      return {};
    }
    const Reach reach = CK_TRY(Reach::find(socket.state));
    std::map<std::string, DatagramSender> senders;
    // Messages without a sender's name may be from many: one helper need not have room for all.
    auto sender = [&](const std::string& name, bool again) -> Result<int> {
      DatagramSender& one = senders[name];
      if (!one.fd || (again && name.empty())) {
        one.room.reset();
        one.fd = CK_TRY(datagram_sender(socket, name));
        one.room.emplace(one.fd.get(), SO_SNDBUF, kMostRoom);
      }
      return one.fd.get();
    };
    return refill({session_, socket.state, sender, reach.address().get(), reach.address().length});
  }

  struct DatagramSender {
    UniqueFd fd;
    std::optional<RoomForNow> room;
  };

  // The one that has the name, or a helper that has it for the moment.
  Result<UniqueFd> datagram_sender(const Socket& reader, const std::string& name) {
    for (auto& [id, socket] : sockets_) {
      if (!name.empty() && socket.state.name() == name && !is_stream(socket.state) &&
          !is_paired(socket))
        return fetch(socket);
    }
    RestoreSession::Visit visit(session_, reader.process);
    Socket helper;
    helper.process = reader.process;
    helper.state.set_name(name);
    *helper.state.mutable_file() = reader.state.file();
    helper.state.mutable_file()->set_exists(false);
    helper.fd = CK_TRY(new_socket(SOCK_DGRAM));
    lent_.push_back({helper.process, helper.fd});
    if (!name.empty() && !bind_once(helper).ok())
      session_.warn("messages from " + readable_name(name) + " have no sender's address any more");
    return fetch(helper);
  }

  Status connect_datagrams(Socket& socket) {
    if (!socket.state.connected() || is_paired(socket)) return {};
    RestoreSession::Visit visit(session_, socket.process);
    SocketState outside;
    outside.set_name(socket.state.peer_name());
    Socket* peer = peer_of(socket);
    Status status = connect_there(session_, socket.fd, peer != nullptr ? peer->state : outside);
    if (status.ok() || peer != nullptr) return status;
    session_.warn("a socket is not connected to " + readable_name(outside.name()) + " any more");
    return {};
  }

  // In the other end, which is closed next: that resets the connection, as it did before.
  Status leave_unread(const Socket& socket) {
    if (!socket.state.reset() || !other_ends_.contains(socket.state.id())) return {};
    const UniqueFd fd = CK_TRY(fetch(socket));
    const RoomForNow room(fd.get(), SO_SNDBUF, kMostRoom);
    ::send(fd.get(), "r", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    return {};
  }

  Status shut_down(const Socket& socket) {
    const bool by_itself =
        socket.state.connected() && socket.state.peer() == 0 && !is_waiting(socket.state.id());
    if (socket.state.shutdown() == 0 || by_itself) return {};
    const UniqueFd fd = CK_TRY(fetch(socket));
    ::shutdown(fd.get(), shutdown_way(socket.state.shutdown()));
    return {};
  }

  RestoreSession& session_;
  std::map<std::uint64_t, Socket> sockets_;  // by id
  std::vector<Holder> lent_;
  std::map<std::uint64_t, Holder> other_ends_;  // among lent_, of connections half of which is gone
};

Result<Restored> restore(RestoreSession& session, const image::OpenFileRecord& record) {
  auto state = CK_TRY(parse_state<SocketState>(record));
  if (session.sockets.empty()) {
    auto builder = std::make_shared<Builder>(session);
    CK_TRY(builder->make_all());
    session.later.emplace_back([builder] { return builder->finish(); });
  }
  Holder place = session.sockets.at(state.id());
  RestoreSession::Visit visit(session, place.process);
  CK_TRY(session.set_flags(place.fd, record.flags()));
  return Restored::at(place);
}

}  // namespace

bool has_peer_in_job(const CaptureSession& session, const OpenFile& file) {
  Result<std::optional<proc::UnixSocket>> found = proc::find_unix_socket(file.status.st_ino);
  if (!found.ok() || !found->has_value()) return false;
  if (!(*found)->has_peer || (*found)->state == kListening) return true;
  return is_peer_in_job(session, file, (*found)->peer);
}

const Kind kUnixSocket = {"unix_socket", recognises, capture, restore};

}  // namespace ck::resources
