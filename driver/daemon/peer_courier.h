// Carries messages of a hand-over to the peer, one after the other, over a connection that it keeps
// while it can. What cannot be delivered is dropped: the machines say things again. The daemon's
// thread only.
#pragma once

#include <deque>
#include <functional>
#include <memory>
#include <optional>

#include "driver/daemon/peer_link.h"
#include "driver/handover/handover.pb.h"

namespace ck::daemon {

class PeerCourier : public std::enable_shared_from_this<PeerCourier> {
 public:
  using Message = driver::handover::wire::Message;
  struct Events {
    std::function<void(const Message&)> on_message;  // an answer of the peer
    std::function<void()> on_lost, on_back;
  };
  PeerCourier(State& state, std::string peer, Events events)
      : state_(state), peer_(std::move(peer)), events_(std::move(events)) {}

  void send(const asio::any_io_executor& executor, Message message);
  // No event comes any more.
  void close();

 private:
  Task<void> work();
  Task<Status> deliver(const Message& message);
  Task<Status> connect();
  void lost(const Error& error);

  State& state_;
  std::string peer_;
  Events events_;
  std::deque<Message> outbox_;
  std::optional<PeerLink> link_;
  bool working_ = false;
  bool lost_ = false;
  bool closed_ = false;
};

// kNotFound if no such host is a peer.
Result<cluster::Peer> find_peer(const State& state, const std::string& name);

}  // namespace ck::daemon
