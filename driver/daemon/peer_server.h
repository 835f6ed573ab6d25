// The port for other hosts: mutual TLS, limits and deadlines for each connection. The daemon's
// thread only.
#pragma once

#include <map>
#include <memory>

#include "driver/daemon/channel.h"
#include "driver/daemon/state.h"
#include "driver/protocol/peer.pb.h"

namespace ck::daemon {

class PeerServer {
 public:
  explicit PeerServer(State& state) : state_(state) {}

  // Accepts until the acceptor is closed.
  Task<void> serve(asio::ip::tcp::acceptor& acceptor);

 private:
  struct Session;
  // Shared with the sessions, the last of which end after this object.
  struct Sessions {
    std::map<asio::ip::address, unsigned> by_address;
    unsigned all = 0;
    std::uint64_t last_number = 0;
    unsigned terminals = 0;
  };
  Task<void> serve_one(std::shared_ptr<Session> session);
  Task<Status> handshake(Session& session);
  Task<Status> exchange_hellos(Session& session);
  Task<Status> take_transfer(Session& session, const std::string& handover);
  Task<Status> take_terminal(Session& session, protocol::wire::TerminalOpen wish, bool& ended);
  Task<Status> send_answer(Session& session, Result<protocol::wire::PeerMessage> answer);
  Task<Status> answer_next(Session& session, bool& ended);
  bool over_limit(const asio::ip::address& address) const;

  State& state_;
  std::shared_ptr<Sessions> sessions_ = std::make_shared<Sessions>();
};

}  // namespace ck::daemon
