#include "driver/terminal/remote_terminal.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "driver/terminal/check.h"
#include "driver/terminal/window.h"

namespace ck::driver::terminal {

using job::keeper::Message;
using job::keeper::Type;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr std::size_t kMostTyped = 64u << 10;
// A host that is just being moved to is there in a moment; one that is out of reach is not.
constexpr milliseconds kSoon{100}, kLater{1000};
constexpr seconds kSoonFor{5};
constexpr seconds kTellAfter{3};
constexpr std::chrono::minutes kGiveUpAfter{10};
constexpr seconds kPingEvery{2}, kSilence{8}, kCallPatience{30};
constexpr int kGaveUp = 75;

}  // namespace

Result<std::unique_ptr<RemoteTerminal>> RemoteTerminal::make(RemotePlan plan,
                                                             std::unique_ptr<Caller> caller) {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends) != 0)
    return sys_error("make a socket for a terminal");
  UniqueFd near(ends[0]), far(ends[1]);
  std::string session(kSessionBytes, '\0');
  if (::getrandom(session.data(), session.size(), 0) != static_cast<ssize_t>(session.size()))
    return sys_error("get random bytes");
  return std::unique_ptr<RemoteTerminal>(new RemoteTerminal(
      std::move(plan), std::move(caller), std::move(near), std::move(far), std::move(session)));
}

RemoteTerminal::RemoteTerminal(RemotePlan plan, std::unique_ptr<Caller> caller, UniqueFd near,
                               UniqueFd far, std::string session)
    : plan_(std::move(plan)),
      caller_(std::move(caller)),
      near_(std::move(near)),
      far_(std::move(far)),
      session_(std::move(session)),
      typed_(kMostTyped),
      next_try_(Clock::now()),
      lost_since_(next_try_) {}

Status RemoteTerminal::attach(const std::string& /*modes*/, std::span<const int> /*fds*/) {
  return {};
}

std::string RemoteTerminal::at_place() const {
  return plan_.place.host.empty() ? " on this host" : " on host " + plan_.place.host;
}

// --- what is waited for: the connection, or the answer to a call; and far_

void RemoteTerminal::watch(std::vector<pollfd>& fds) const {
  const int connection = link_ ? link_->fd() : state_ == State::kCalling ? caller_->fd() : -1;
  const bool hears = to_show_.empty();
  const bool sends = link_ && link_->wants_to_write();
  fds.push_back({connection, static_cast<short>((hears ? POLLIN : 0) | (sends ? POLLOUT : 0)), 0});
  const bool takes = connected() && typed_.room() > 0 && link_->has_room();
  fds.push_back({far_.get(), static_cast<short>((takes ? POLLIN : 0) | (hears ? 0 : POLLOUT)), 0});
}

milliseconds RemoteTerminal::patience() const {
  if (state_ == State::kOver) return milliseconds(-1);
  Clock::time_point next = Clock::now() + seconds(1);
  if (state_ == State::kWaiting) next = std::min(next, next_try_);
  return std::max(std::chrono::ceil<milliseconds>(next - Clock::now()), milliseconds(0));
}

void RemoteTerminal::ready(std::span<const pollfd> fds) {
  if ((fds[1].revents & POLLOUT) != 0) show();
  if (link_) {
    if ((fds[0].revents & POLLOUT) != 0) link_->write();
    if ((fds[0].revents & ~POLLOUT) != 0) link_->read();
    take_link();
  } else if (state_ == State::kCalling && fds[0].revents != 0) {
    take_answer();
  }
  if ((fds[1].revents & POLLIN) != 0) read_typed();
  if (connected()) send_typed();
  tick();
}

void RemoteTerminal::tick() {
  const auto now = Clock::now();
  switch (state_) {
    case State::kOver:
      return;
    case State::kWaiting:
      if (now >= next_try_) call();
      break;
    case State::kCalling:
      if (now - called_ > kCallPatience)
        lose(make_error(ErrorKind::kTryAgain, "ckd does not answer"));
      break;
    case State::kGreeting:
    case State::kOpen:
      // What it has said waits for the user's terminal: that is no silence of its own.
      if (!to_show_.empty()) heard_ = now;
      if (now - heard_ > kSilence) {
        lose(make_error(ErrorKind::kTryAgain, "it is silent"));
      } else if (now - pinged_ > kPingEvery && connected()) {
        pinged_ = now;
        wire::Message ping;
        ping.mutable_ping();
        link_->send(ping);
      }
      break;
  }
  if (connected() || state_ == State::kOver) return;
  if (now - lost_since_ > kGiveUpAfter) return give_up();
  if (now - lost_since_ > kTellAfter && !told_lost_) {
    told_lost_ = true;
    post(Type::kTell, 0,
         "no connection to job " + plan_.name + at_place() +
             (reason_.empty() ? "" : " (" + reason_ + ")") +
             "; trying for 10 minutes, ^C leaves it there");
  }
}

void RemoteTerminal::lose(const Error& reason) {
  reason_ = reason.text();
  link_.reset();
  caller_->give_up();
  const auto now = Clock::now();
  if (std::exchange(was_open_, false)) lost_since_ = now;
  state_ = State::kWaiting;
  next_try_ = now + (now - lost_since_ < kSoonFor ? kSoon : kLater);
}

void RemoteTerminal::give_up() {
  state_ = State::kOver;
  link_.reset();
  caller_->give_up();
  post(Type::kEnded, kGaveUp,
       "no connection to job " + plan_.name + at_place() + " for 10 minutes" +
           (reason_.empty() ? "" : " (" + reason_ + ")") + "; ckpt attach " + plan_.name +
           " looks for it again");
}

// --- calls

void RemoteTerminal::call() {
  called_ = Clock::now();
  Status begun = caller_->begin(plan_.place);
  if (begun.ok()) {
    state_ = State::kCalling;
  } else if (begun.error().kind == ErrorKind::kNotFound && plan_.moves && !known_) {
    // Whoever moved it did so without a ckd.
    state_ = State::kOver;
    post(Type::kEnded, plan_.otherwise,
         "job " + plan_.name +
             (plan_.place.host.empty() ? " runs in another terminal"
                                       : " has moved to host " + plan_.place.host));
  } else if (!known_ && !plan_.moves) {
    state_ = State::kOver;
    post(Type::kEnded, exit_code(begun.error().kind), begun.error().text());
  } else {
    lose(begun.error());
  }
}

void RemoteTerminal::take_answer() {
  Result<std::optional<CallAnswer>> answer = caller_->answer();
  if (!answer.ok()) return lose(answer.error());
  if (!*answer) return;
  CallAnswer& found = **answer;
  if (!found.host.empty() && found.host != plan_.place.host) {
    plan_.place.host = found.host;
    plan_.place.server = 0;
  }
  if (found.connection) return greet(std::move(found.connection));
  state_ = State::kOver;
  if (found.status) return post(Type::kEnded, *found.status);
  post(Type::kEnded, plan_.otherwise,
       "job " + plan_.name + " has ended" + at_place() + ", nobody knows how");
}

void RemoteTerminal::greet(UniqueFd connection) {
  link_ = std::make_unique<Link>(std::move(connection));
  state_ = State::kGreeting;
  heard_ = pinged_ = Clock::now();
  wire::Message message;
  wire::Greeting& greeting = *message.mutable_greeting();
  greeting.set_version(kVersion);
  greeting.set_session(session_);
  greeting.set_typed(typed_.begin());
  greeting.set_known(known_);
  greeting.set_shown(shown_);
  if (window_) *greeting.mutable_window() = to_wire(*window_);
  link_->send(message);
}

// --- what comes

// What is to be shown is shown before what is said after it is heard.
void RemoteTerminal::take_link() {
  while (link_ && to_show_.empty()) {
    Result<std::optional<wire::Message>> message = link_->next();
    if (message.ok() && !*message) return;
    heard_ = Clock::now();
    const Status done = message.ok() ? handle(**message) : Status(message.error());
    if (!done.ok()) return lose(done.error());
  }
}

Status RemoteTerminal::handle(const wire::Message& message) {
  if (message.has_welcome() != (state_ == State::kGreeting))
    return make_error(ErrorKind::kRefused, "it says something else than what is due");
  switch (message.kind_case()) {
    case wire::Message::kWelcome:
      return welcome(message.welcome());
    case wire::Message::kModes:
      modes_ = message.modes();
      return {};
    case wire::Message::kPiece:
      to_show_ = message.piece().bytes();
      shown_ += to_show_.size();
      show();
      return {};
    case wire::Message::kTaken:
      if (typed_.taken(message.taken().end())) return {};
      return make_error(ErrorKind::kRefused, "it has taken what was not typed");
    case wire::Message::kEvent:
      handle(message.event());
      return {};
    case wire::Message::kPing:
      return {};
    default:
      return make_error(ErrorKind::kRefused, "that message is not for here");
  }
}

Status RemoteTerminal::welcome(const wire::Welcome& welcome) {
  const bool known = std::exchange(known_, true);
  plan_.place.server = welcome.server();
  if (welcome.resumed()) {
    if (!known || welcome.shown() != shown_ || !typed_.resume(welcome.taken()))
      return make_error(ErrorKind::kRefused, "it remembers another terminal");
  } else {
    // Another server than before: nobody knows what that one had taken.
    if (known && typed_.drop() > 0)
      post(Type::kTell, 0, "what was typed last may not have reached job " + plan_.name);
    typed_.send_all_again();
  }
  shown_ = welcome.shown();
  modes_ = welcome.modes();
  job_window_ = from_wire(welcome.window());
  if (plan_.name.empty()) plan_.name = welcome.name();
  state_ = State::kOpen;
  was_open_ = true;
  reason_.clear();
  post(Type::kMaster, 0, plan_.name);
  if (std::exchange(told_lost_, false)) post(Type::kRedraw);
  return {};
}

void RemoteTerminal::handle(const wire::Event& event) {
  switch (event.kind_case()) {
    case wire::Event::kStopped:
      return post(Type::kStopped, event.stopped());
    case wire::Event::kTell:
      return post(Type::kTell, 0, event.tell());
    case wire::Event::kLeft:
      post(Type::kLeave, event.left());
      return;
    case wire::Event::kEnded:
      return end(event.ended());
    case wire::Event::KIND_NOT_SET:
      return;
  }
}

void RemoteTerminal::end(const wire::Ended& ended) {
  if (!ended.moved_to().empty() && typed_.resume(ended.taken())) return go_on_at(ended.moved_to());
  post(Type::kEnded, ended.status(), ended.text());
}

void RemoteTerminal::go_on_at(const std::string& host) {
  say(Type::kBye, 0);
  link_.reset();
  plan_.place.host = host;
  plan_.place.server = 0;
  known_ = was_open_ = false;
  plan_.moves = true;
  state_ = State::kWaiting;
  lost_since_ = next_try_ = Clock::now();
}

Result<std::optional<Message>> RemoteTerminal::next() {
  if (events_.empty()) return std::optional<Message>();
  Message first = std::move(events_.front());
  events_.pop_front();
  return std::optional(std::move(first));
}

void RemoteTerminal::post(Type type, int value, const std::string& text) {
  events_.push_back(Message{type, value, text, {}});
}

// --- bytes

void RemoteTerminal::read_typed() {
  std::array<char, 4096> part;
  while (typed_.room() > 0) {
    const ssize_t count = ::read(far_.get(), part.data(), std::min(part.size(), typed_.room()));
    if (count <= 0) return;
    typed_.add({part.data(), static_cast<std::size_t>(count)});
  }
}

void RemoteTerminal::send_typed() {
  while (link_->has_room()) {
    const std::string_view next = typed_.unsent(kLongestPiece);
    if (next.empty()) return;
    wire::Message message;
    message.mutable_piece()->set_bytes(std::string(next));
    typed_.sent(next.size());
    link_->send(message);
  }
}

void RemoteTerminal::show() {
  if (to_show_.empty()) return;
  const ssize_t count = ::write(far_.get(), to_show_.data(), to_show_.size());
  if (count > 0) to_show_.erase(0, static_cast<std::size_t>(count));
  if (!to_show_.empty() || !link_) return;
  wire::Message message;
  message.mutable_taken()->set_end(shown_);
  link_->send(message);
}

// --- what the client says

void RemoteTerminal::say(Type type, int value) {
  if (!connected()) return;
  wire::Message message;
  wire::Command& command = *message.mutable_command();
  switch (type) {
    case Type::kSignal:
      command.set_signal(value);
      break;
    case Type::kGoOn:
      command.set_go_on(true);
      break;
    case Type::kRedraw:
      command.set_redraw(true);
      break;
    case Type::kBackground:
      command.set_background(value);
      break;
    case Type::kBye:
      command.set_bye(true);
      break;
    default:
      return;
  }
  link_->send(message);
}

std::optional<char> RemoteTerminal::end_of_input() const {
  if (!modes_.lines()) return std::nullopt;
  return static_cast<char>(modes_.end_of_input());
}

void RemoteTerminal::set_window(const ck::terminal::Window& window) {
  window_ = window;
  if (!connected()) return;
  job_window_ = window;
  wire::Message message;
  *message.mutable_window() = to_wire(window);
  link_->send(message);
}

std::optional<ck::terminal::Window> RemoteTerminal::window() const {
  return job_window_;
}

}  // namespace ck::driver::terminal
