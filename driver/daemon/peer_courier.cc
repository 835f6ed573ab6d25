#include "driver/daemon/peer_courier.h"

#include "driver/daemon/spawn.h"

namespace ck::daemon {

using protocol::wire::PeerMessage;

Result<cluster::Peer> find_peer(const State& state, const std::string& name) {
  for (const cluster::Peer& peer : state.configuration().peers)
    if (peer.name == name) return peer;
  if (name == state.host())
    return make_error(ErrorKind::kNotFound, "host " + name + " is this host");
  return make_error(ErrorKind::kNotFound, "host " + name + " is no peer of this one",
                    "ckpt hosts lists those that are");
}

void PeerCourier::send(const asio::any_io_executor& executor, Message message) {
  if (closed_) return;
  outbox_.push_back(std::move(message));
  if (working_) return;
  working_ = true;
  auto run = [](std::shared_ptr<PeerCourier> self) -> Task<void> { co_await self->work(); };
  spawn(executor, run(shared_from_this()));
}

void PeerCourier::close() {
  closed_ = true;
  outbox_.clear();
}

Task<void> PeerCourier::work() {
  while (!outbox_.empty() && !closed_) {
    const Message message = std::move(outbox_.front());
    outbox_.pop_front();
    Status delivered = co_await deliver(message);
    if (!delivered.ok()) lost(delivered.error());
  }
  working_ = false;
  if (closed_) link_.reset();
}

void PeerCourier::lost(const Error& error) {
  link_.reset();
  outbox_.clear();
  if (!lost_ && !closed_) {
    log_warning("peer not reached", {{"host", peer_}, {"reason", error.text()}});
    events_.on_lost();
  }
  lost_ = true;
}

Task<Status> PeerCourier::connect() {
  CK_CO_TRY(cluster::Peer peer, find_peer(state_, peer_));
  auto link = co_await PeerLink::connect(state_, peer);
  if (!link.ok()) co_return std::move(link).error();
  link_.emplace(*std::move(link));
  if (std::exchange(lost_, false) && !closed_) events_.on_back();
  co_return Status();
}

// A connection that was silent for long may be closed by now: that alone does not count.
Task<Status> PeerCourier::deliver(const Message& message) {
  PeerMessage question;
  *question.mutable_handover() = message;
  const bool kept = link_.has_value();
  if (!kept) CK_CO_CHECK(co_await connect());
  auto answer = co_await link_->ask(question, PeerMessage::kHandoverAnswer);
  if (!answer.ok() && kept && !closed_) {
    lost(answer.error());
    CK_CO_CHECK(co_await connect());
    answer = co_await link_->ask(std::move(question), PeerMessage::kHandoverAnswer);
  }
  if (!answer.ok()) co_return std::move(answer).error();
  for (const Message& reply : answer->handover_answer().messages())
    if (!closed_ && reply.id() == message.id()) events_.on_message(reply);
  co_return Status();
}

}  // namespace ck::daemon
