// A connection that this daemon makes to another: TLS, who is there, Hello, then questions. The
// daemon's thread only.
#pragma once

#include <functional>
#include <optional>

#include "driver/daemon/channel.h"
#include "driver/daemon/state.h"
#include "driver/protocol/peer.pb.h"

namespace ck::daemon {

class PeerLink {
 public:
  struct Target {
    std::string address;
    std::string own_name;
    std::shared_ptr<cluster::Context> context;
    std::function<bool(bool, asio::ssl::verify_context&)> verify;
    std::function<Status(SSL*)> accept;          // once the handshake is over
    std::shared_ptr<Connections> connections{};  // that it is one of; none: no member asks
    milliseconds patience{5000};                 // for all of connect(), and for each answer
  };
  static Task<Result<PeerLink>> connect(std::shared_ptr<Target> target);
  // To a member, known by its name.
  static Task<Result<PeerLink>> connect(const State& state, cluster::Peer peer);

  // The connection itself, for what is not questions and answers.
  TlsChannel release() && { return std::move(channel_); }

  // The answer is of the kind `expected`; the peer's Refusal comes back as the Error that it is.
  // `patience`: another one than usual.
  Task<Result<protocol::wire::PeerMessage>> ask(protocol::wire::PeerMessage question,
                                                protocol::wire::PeerMessage::KindCase expected,
                                                std::optional<milliseconds> patience = {});

 private:
  PeerLink(TlsChannel channel, std::shared_ptr<Target> target)
      : channel_(std::move(channel)), target_(std::move(target)) {}
  Task<Status> exchange_hellos();
  TlsChannel channel_;
  std::shared_ptr<Target> target_;
};

// Connects, and asks.
Task<Result<protocol::wire::PeerMessage>> ask_peer(State& state, cluster::Peer peer,
                                                   protocol::wire::PeerMessage question,
                                                   protocol::wire::PeerMessage::KindCase expected);

}  // namespace ck::daemon
