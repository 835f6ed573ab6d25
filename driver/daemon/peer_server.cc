#include "driver/daemon/peer_server.h"

#include "driver/daemon/event_log.h"
#include "driver/daemon/handovers.h"
#include "driver/daemon/peer_requests.h"
#include "driver/daemon/spawn.h"
#include "driver/daemon/terminals.h"
#include "driver/protocol/frame.h"

namespace ck::daemon {

using asio::ip::tcp;
using boost::system::error_code;
using cluster::Identity;
using protocol::wire::PeerMessage;

namespace {

constexpr milliseconds kAcceptPause{200};
constexpr milliseconds kLinger{1000};
constexpr std::uint32_t kLongestOfGuest = 16u << 10;

// Until the other end has read what we sent: closing with its bytes unread would reset the
// connection, and the alert that tells it why would be lost.
Task<void> linger(TlsChannel& channel) {
  auto& socket = channel.stream().next_layer();
  error_code ignored;
  socket.shutdown(tcp::socket::shutdown_send, ignored);
  TlsChannel::Deadline guard = channel.deadline(kLinger);
  std::array<char, 4096> nothing;
  for (int parts = 0; parts < 64; ++parts) {
    auto [error, size] = co_await socket.async_read_some(asio::buffer(nothing), kAsTuple);
    if (error) co_return;
  }
}

std::string to_text(const tcp::endpoint& endpoint) {
  std::string address = endpoint.address().to_string();
  if (endpoint.address().is_v6()) address = '[' + address + ']';
  return address + ':' + std::to_string(endpoint.port());
}

}  // namespace

struct PeerServer::Session {
  Session(std::shared_ptr<Sessions> open, TlsStream stream, const tcp::endpoint& remote)
      : sessions(std::move(open)),
        channel(std::move(stream)),
        peer(to_text(remote)),
        address(remote.address()),
        number(++sessions->last_number) {
    ++sessions->by_address[address];
    ++sessions->all;
  }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;
  ~Session() {
    if (is_terminal)
      --sessions->terminals;
    else
      leave_address();
    --sessions->all;
  }
  void leave_address() {
    if (--sessions->by_address[address] == 0) sessions->by_address.erase(address);
  }
  // It lasts, and does not keep its host's other connections out.
  void become_terminal() {
    leave_address();
    is_terminal = true;
    ++sessions->terminals;
  }

  std::shared_ptr<Sessions> sessions;
  TlsChannel channel;
  std::string peer;  // for the log
  asio::ip::address address;
  std::uint64_t number;
  Identity identity;
  bool is_terminal = false;
};

bool PeerServer::over_limit(const asio::ip::address& address) const {
  const cluster::Settings& settings = state_.configuration().settings;
  auto found = sessions_->by_address.find(address);
  return sessions_->all >= settings.connections ||
         (found != sessions_->by_address.end() && found->second >= settings.connections_per_peer);
}

Task<void> PeerServer::serve(tcp::acceptor& acceptor) {
  asio::steady_timer pause(acceptor.get_executor());
  for (;;) {
    auto [error, socket] = co_await acceptor.async_accept(kAsTuple);
    if (!acceptor.is_open()) co_return;
    error_code gone;
    tcp::endpoint remote = error ? tcp::endpoint() : socket.remote_endpoint(gone);
    if (error) {  // out of descriptors, most likely: not worth a busy loop
      pause.expires_after(kAcceptPause);
      co_await pause.async_wait(kAsTuple);
    } else if (gone || !state_.configuration().tls) {
      continue;
    } else if (over_limit(remote.address())) {
      state_.metrics().count_connection("over_limit");
      log_warning("peer refused", {{"peer", to_text(remote)}, {"reason", "too many connections"}});
    } else {
      send_at_once(socket);
      TlsStream stream(std::move(socket), *state_.configuration().tls);
      auto session = std::make_shared<Session>(sessions_, std::move(stream), remote);
      state_.connections->add(session->channel);
      spawn(acceptor.get_executor(), serve_one(std::move(session)));
    }
  }
}

Task<void> PeerServer::serve_one(std::shared_ptr<Session> session) {
  Status status = co_await handshake(*session);
  if (!status.ok()) {
    state_.metrics().count_connection("refused");
    log_warning("peer refused", {{"peer", session->peer}, {"reason", status.error().message}});
    co_await linger(session->channel);
    co_return;
  }
  state_.metrics().count_connection("accepted");
  status = co_await exchange_hellos(*session);
  for (bool ended = false; status.ok() && !ended;) {
    status = co_await answer_next(*session, ended);
  }
  if (status.ok()) co_return;
  log_warning("peer cut off", {{"peer", session->peer},
                               {"host", session->identity.name},
                               {"reason", status.error().message}});
  if (session->channel) co_await linger(session->channel);
}

Task<Status> PeerServer::handshake(Session& session) {
  const Configuration& configuration = state_.configuration();
  // Only the host with the CA has guests.
  std::string invitations = configuration.is_authority() ? state_.options().folder : "";
  auto check = std::make_shared<cluster::PeerCheck>(state_.cluster().id, invitations);
  TlsStream& stream = session.channel.stream();
  stream.set_verify_callback([check](bool good, asio::ssl::verify_context& context) {
    return check->verify(good, context);
  });
  TlsChannel::Deadline guard = session.channel.deadline(configuration.settings.handshake_timeout);
  auto [error] = co_await stream.async_handshake(asio::ssl::stream_base::server, kAsTuple);
  if (error && !check->reason().empty()) {
    co_return make_error(ErrorKind::kPermission, check->reason());
  }
  if (error) co_return session.channel.failure(error);
  CK_CO_TRY(session.identity, check->identity(stream.native_handle()));
  co_return Status();
}

// We speak first: once the other end hears us, it knows that its certificate was accepted.
Task<Status> PeerServer::exchange_hellos(Session& session) {
  milliseconds patience = state_.configuration().settings.handshake_timeout;
  PeerMessage own;
  own.mutable_hello()->set_version(protocol::kPeerVersion);
  own.mutable_hello()->set_host(state_.host());
  CK_CO_TRY(std::string frame, protocol::make_frame(own));
  CK_CO_CHECK(co_await session.channel.send(std::move(frame), patience));
  CK_CO_TRY(std::string bytes,
            co_await session.channel.receive(protocol::kLongestHello, patience, patience));
  if (bytes.empty()) co_return make_error(ErrorKind::kSystem, "it did not say who it is");
  CK_CO_TRY(PeerMessage hello, protocol::parse_peer_message(bytes));
  if (!hello.has_hello()) co_return make_error(ErrorKind::kRefused, "it did not say who it is");
  if (hello.hello().version() != protocol::kPeerVersion) {
    co_return make_error(ErrorKind::kRefused, "its ckd is of another version than this one");
  }
  bool member = session.identity.kind == Identity::Kind::kMember;
  if (member && hello.hello().host() != session.identity.name) {
    co_return make_error(ErrorKind::kRefused, "it calls itself " + hello.hello().host());
  }
  co_return Status();
}

// The connection is the images' from now on.
Task<Status> PeerServer::take_transfer(Session& session, const std::string& handover) {
  if (state_.handovers == nullptr)
    co_return make_error(ErrorKind::kTryAgain, "this ckd is just starting");
  CK_CO_CHECK(state_.handovers->check_transfer(session.identity.name, handover));
  PeerMessage answer;
  answer.mutable_transfer_ready();
  CK_CO_TRY(std::string frame, protocol::make_frame(answer));
  CK_CO_CHECK(co_await session.channel.send(std::move(frame),
                                            state_.configuration().settings.answer_timeout));
  co_return co_await state_.handovers->take_transfer(handover, std::move(session.channel));
}

Task<Status> PeerServer::answer_next(Session& session, bool& ended) {
  const cluster::Settings& settings = state_.configuration().settings;
  milliseconds patience = settings.answer_timeout;
  bool guest = session.identity.kind == Identity::Kind::kGuest;
  std::uint32_t limit = guest ? kLongestOfGuest : protocol::kLongestMessage;
  CK_CO_TRY(std::string bytes,
            co_await session.channel.receive(limit, settings.idle_timeout, patience));
  ended = bytes.empty();
  if (ended) co_return Status();
  CK_CO_TRY(PeerMessage question, protocol::parse_peer_message(bytes));
  const bool member = session.identity.kind == Identity::Kind::kMember;
  if (question.has_terminal_open() && member)
    co_return co_await take_terminal(session, question.terminal_open(), ended);
  if (question.has_transfer_open() && member) {
    ended = true;
    co_return co_await take_transfer(session, question.transfer_open().handover());
  }
  Result<PeerMessage> answer =
      co_await answer_peer(state_, session.identity, session.number, std::move(question));
  co_return co_await send_answer(session, std::move(answer));
}

Task<Status> PeerServer::send_answer(Session& session, Result<PeerMessage> answer) {
  if (!answer.ok()) {
    log_info("question refused", {{"peer", session.peer},
                                  {"host", session.identity.name},
                                  {"reason", answer.error().message}});
    PeerMessage refusal;
    *refusal.mutable_refusal() = protocol::refusal_of(answer.error());
    answer = std::move(refusal);
  }
  CK_CO_TRY(std::string frame, protocol::make_frame(*answer));
  co_return co_await session.channel.send(std::move(frame),
                                          state_.configuration().settings.answer_timeout);
}

// The connection is the terminal's from now on.
Task<Status> PeerServer::take_terminal(Session& session, protocol::wire::TerminalOpen wish,
                                       bool& ended) {
  Result<PeerMessage> answer = PeerMessage();
  answer->mutable_terminal_ready();
  if (sessions_->terminals >= kMostTerminals) {
    answer = make_error(ErrorKind::kTryAgain, "too many terminals are open there");
    co_return co_await send_answer(session, answer);
  }
  auto local = co_await open_terminal(state_, std::move(wish));
  if (!local.ok()) {
    answer = local.error();
    co_return co_await send_answer(session, answer);
  }
  CK_CO_CHECK(co_await send_answer(session, answer));
  ended = true;
  session.become_terminal();
  (void)co_await pump(std::move(session.channel), *std::move(local), kTerminalLimits);
  co_return Status();
}

}  // namespace ck::daemon
