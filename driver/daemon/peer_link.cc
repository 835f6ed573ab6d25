#include "driver/daemon/peer_link.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "driver/protocol/check.h"
#include "driver/protocol/frame.h"

namespace ck::daemon {
namespace {

using asio::ip::tcp;
using boost::system::error_code;
using protocol::wire::PeerMessage;

Task<Result<tcp::resolver::results_type>> resolve(std::string address) {
  CK_CO_TRY(protocol::Address parts, protocol::split_address(address));
  tcp::resolver resolver(co_await asio::this_coro::executor);
  auto [error, found] = co_await resolver.async_resolve(parts.host, parts.port, kAsTuple);
  if (error) {
    co_return make_error(ErrorKind::kNotFound,
                         "the address " + address + " cannot be found: " + error.message());
  }
  co_return found;
}

Task<Status> open_tls(TlsChannel& channel, const PeerLink::Target& target,
                      tcp::resolver::results_type addresses) {
  auto& socket = channel.stream().next_layer();
  auto [refused, endpoint] = co_await asio::async_connect(socket, addresses, kAsTuple);
  if (refused) co_return channel.failure(refused);
  send_at_once(socket);
  channel.stream().set_verify_callback(target.verify);
  auto [error] =
      co_await channel.stream().async_handshake(asio::ssl::stream_base::client, kAsTuple);
  if (error) co_return channel.failure(error);
  co_return target.accept(channel.stream().native_handle());
}

}  // namespace

Task<Result<PeerLink>> PeerLink::connect(std::shared_ptr<Target> target) {
  CK_CO_TRY(tcp::resolver::results_type addresses, co_await resolve(target->address));
  tcp::socket socket(co_await asio::this_coro::executor);
  TlsStream stream(std::move(socket), *target->context);
  PeerLink link(TlsChannel(std::move(stream)), target);
  if (target->connections) target->connections->add(link.channel_);
  TlsChannel::Deadline guard = link.channel_.deadline(target->patience);
  Status opened = co_await open_tls(link.channel_, *target, std::move(addresses));
  if (opened.ok()) opened = co_await link.exchange_hellos();
  if (!opened.ok()) co_return std::move(opened).error().within(target->address);
  co_return link;
}

Task<Status> PeerLink::exchange_hellos() {
  CK_CO_TRY(std::string bytes, co_await channel_.receive(protocol::kLongestHello, target_->patience,
                                                         target_->patience));
  if (bytes.empty()) {
    co_return make_error(ErrorKind::kTryAgain, "it closed the connection", "its log tells why");
  }
  CK_CO_TRY(PeerMessage hello, protocol::parse_peer_message(bytes));
  if (hello.has_refusal()) co_return protocol::error_of(hello.refusal());
  if (!hello.has_hello() || hello.hello().version() != protocol::kPeerVersion) {
    co_return make_error(ErrorKind::kRefused, "its ckd is of another version than this one");
  }
  PeerMessage own;
  own.mutable_hello()->set_version(protocol::kPeerVersion);
  own.mutable_hello()->set_host(target_->own_name);
  CK_CO_TRY(std::string frame, protocol::make_frame(own));
  co_return co_await channel_.send(std::move(frame), target_->patience);
}

Task<Result<PeerLink>> PeerLink::connect(const State& state, cluster::Peer peer) {
  const Configuration& configuration = state.configuration();
  if (!configuration.tls) co_return make_error(ErrorKind::kBug, "no cluster");
  auto target = std::make_shared<Target>();
  auto check = std::make_shared<cluster::PeerCheck>(state.cluster().id, "");
  target->address = peer.address;
  target->own_name = state.host();
  target->context = configuration.tls;
  target->connections = state.connections;
  const std::uint64_t revoked = configuration.member->revoked.number();
  target->patience = configuration.settings.answer_timeout;
  target->verify = [check](bool good, asio::ssl::verify_context& context) {
    return check->verify(good, context);
  };
  target->accept = [check, name = peer.name](SSL* connection) -> Status {
    cluster::Identity identity = CK_TRY(check->identity(connection));
    if (identity.name == name) return {};
    return make_error(ErrorKind::kPermission, "there is host " + identity.name + ", not " + name);
  };
  auto link = co_await connect(target);
  if (!link.ok() && !check->reason().empty()) {
    co_return make_error(ErrorKind::kPermission, peer.address + ": " + check->reason());
  }
  if (state.configuration().member->revoked.number() != revoked)
    co_return make_error(ErrorKind::kTryAgain,
                         peer.address + ": the list of revoked certificates has just changed");
  co_return link;
}

Task<Result<PeerMessage>> PeerLink::ask(PeerMessage question, PeerMessage::KindCase expected,
                                        std::optional<milliseconds> patience) {
  const milliseconds limit = patience.value_or(target_->patience);
  CK_CO_TRY(std::string frame, protocol::make_frame(question));
  CK_CO_CHECK(co_await channel_.send(std::move(frame), limit));
  CK_CO_TRY(std::string bytes, co_await channel_.receive(protocol::kLongestMessage, limit, limit));
  if (bytes.empty()) {
    co_return make_error(ErrorKind::kTryAgain, target_->address + " closed the connection",
                         "its log tells why");
  }
  CK_CO_TRY(PeerMessage answer, protocol::parse_peer_message(bytes));
  if (answer.has_refusal()) co_return protocol::error_of(answer.refusal());
  if (answer.kind_case() != expected)
    co_return make_error(ErrorKind::kRefused,
                         target_->address + " answered something else than was asked",
                         "is its ckd of the same version as this one?");
  co_return answer;
}

Task<Result<PeerMessage>> ask_peer(State& state, cluster::Peer peer, PeerMessage question,
                                   PeerMessage::KindCase expected) {
  CK_CO_TRY(PeerLink link, co_await PeerLink::connect(state, peer));
  co_return co_await link.ask(std::move(question), expected);
}

}  // namespace ck::daemon
