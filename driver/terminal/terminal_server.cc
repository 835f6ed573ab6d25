#include "driver/terminal/terminal_server.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "driver/terminal/call_server.h"
#include "driver/terminal/check.h"
#include "driver/terminal/link.h"
#include "driver/terminal/numbered_bytes.h"
#include "driver/terminal/window.h"
#include "runtime/job/host.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/local_terminal.h"

namespace ck::driver::terminal {

using job::ClientOutcome;
using job::keeper::Message;
using job::keeper::Type;

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kMostShown = 256u << 10;
constexpr std::size_t kMostTyped = 64u << 10;
constexpr std::chrono::minutes kPatience{10};  // for a user who was there
constexpr std::chrono::seconds kFirstPatience{
    20};  // for one who may come: of a program that waits for him
constexpr std::chrono::seconds kLastPatience{60};  // and who would hear of the end only
constexpr std::chrono::seconds kLook{1};

std::string one_line(std::string text) {
  text.resize(std::min(text.size(), kLongestText));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  return text;
}

class Server {
 public:
  Server(ServerPlan plan, UniqueFd listening)
      : job_(std::move(plan.keeper)),
        keeper_(plan.keeper_pid),
        jobs_folder_(std::move(plan.jobs_folder)),
        listening_(std::move(listening)),
        shown_(kMostShown),
        since_(Clock::now()) {}

  Result<ClientOutcome> run() {
    CK_TRY(job_.attach({}, {}));
    while (!over()) {
      CK_TRY(poll_once());
    }
    job_.say(Type::kBye, 0);
    return ClientOutcome{ended_ ? ended_->status() : 0, ended_.has_value()};
  }

 private:
  // --- how long

  bool over() const {
    if (bye_) return true;
    if (link_) return false;
    if (ended_ && !has_run()) return true;  // who started this waits for it
    const auto alone = Clock::now() - since_;
    if (!session_.empty()) return alone > kPatience;
    if (ended_ || left_) return alone > kLastPatience;
    return alone > kPatience || (alone > kFirstPatience && shown_.room() == 0);
  }

  Status poll_once() {
    const bool reads = runs() && hears_ && shown_.room() > 0;
    const bool types = runs() && hears_ && !held_ && !typed_.empty() && !ended_;
    std::vector<pollfd> fds{
        {listening_.get(), POLLIN, 0},
        {newcomer_ ? newcomer_->fd() : -1, POLLIN, 0},
        {link_ ? link_->fd() : -1,
         static_cast<short>(POLLIN | (link_ && link_->wants_to_write() ? POLLOUT : 0)), 0},
        {reads || types ? job_.bytes() : -1,
         static_cast<short>((reads ? POLLIN : 0) | (types ? POLLOUT : 0)), 0},
    };
    const std::size_t own = fds.size();
    if (!gone_) job_.watch(fds);
    const int wait = static_cast<int>(std::chrono::milliseconds(kLook).count());
    if (::poll(fds.data(), fds.size(), wait) < 0 && errno != EINTR)
      return sys_error("wait for the job's terminal");
    if (!gone_) job_.ready(std::span(fds).subspan(own));
    take_messages();
    if (fds[3].revents != 0 && types) type();
    if (fds[3].revents != 0 && reads) read_shown();
    if (!hears_) look_again();
    if (fds[2].revents != 0) take_link(fds[2].revents);
    if (fds[1].revents != 0) take_newcomer();
    if (fds[0].revents != 0) accept();
    send_shown();
    return {};
  }

  bool runs() const { return job_.bytes() >= 0; }
  bool has_run() const { return !name_.empty(); }

  // --- the job

  void take_messages() {
    for (;;) {
      Result<std::optional<Message>> message = job_.next();
      if (message.ok() && !*message) return;
      if (!message.ok()) {
        gone_ = true;
        if (!ended_) end(1, "the job's terminal has gone: its keeper has died");
        return;
      }
      take_message(**message);
    }
  }

  void take_message(const Message& message) {
    switch (message.type) {
      case Type::kMaster:
        name_ = message.text;
        since_ = Clock::now();
        return greet_newcomer();
      case Type::kHold:
        held_ = true;
        if (job_.held(typed_)) typed_.clear();
        return;
      case Type::kGo:
        held_ = false;
        return take_typed();
      case Type::kStopped: {
        stopped_ = message.value;
        return tell_stopped();
      }
      case Type::kTell:
        return tell(message.text);
      case Type::kLeave:
        left_ = message.value;
        since_ = Clock::now();
        return;
      case Type::kEnded:
        return end(message.value, message.text);
      default:
        return;
    }
  }

  void end(int status, const std::string& text) {
    wire::Ended& ended = ended_.emplace();
    ended.set_status(status);
    ended.set_text(one_line(text));
    ended.set_taken(taken_);
    ended.set_moved_to(moved_to());
    since_ = Clock::now();
  }

  std::string moved_to() const {
    const Result<job::JobDir> job = job::JobDir::find(jobs_folder_, name_);
    if (!job.ok()) return {};
    const auto last = job->incarnation();
    return last.ok() && *last && (*last)->is_move() ? (*last)->host.name : std::string();
  }

  void type() {
    const ssize_t count = ::write(job_.bytes(), typed_.data(), typed_.size());
    if (count > 0) typed_.erase(0, static_cast<std::size_t>(count));
    take_typed();
  }

  void read_shown() {
    std::array<char, 65536> part;
    const ssize_t count = ::read(job_.bytes(), part.data(), std::min(part.size(), shown_.room()));
    if (count > 0) return shown_.add({part.data(), static_cast<std::size_t>(count)});
    if (count == 0 || (errno != EAGAIN && errno != EINTR)) hears_ = false;
  }

  // Nobody had the slave open; somebody may again.
  void look_again() {
    pollfd look{job_.bytes(), POLLIN, 0};
    hears_ = !ended_ && ::poll(&look, 1, 0) >= 0 && (look.revents & POLLHUP) == 0;
  }

  // Whether all that the program has shown is in shown_, of a job that shows no more.
  bool all_is_shown() {
    if (!runs() || gone_) return true;
    while (hears_ && shown_.room() > 0) {
      pollfd ready{job_.bytes(), POLLIN, 0};
      if (::poll(&ready, 1, 0) <= 0) return true;
      read_shown();
    }
    return !hears_;
  }

  // --- the user

  void accept() {
    const UniqueFd caller(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (!caller || !job::keeper::is_friend(caller.get())) return;
    constexpr timeval kCallPatience{1, 0};
    ::setsockopt(caller.get(), SOL_SOCKET, SO_RCVTIMEO, &kCallPatience, sizeof kCallPatience);
    Result<Message> message = job::keeper::receive(caller.get());
    if (!message.ok() || message->type != Type::kCaller || message->fds.size() != 1) return;
    // It may have asked for a job whose keeper had this number before.
    if (!name_.empty() && message->text != name_) return;
    newcomer_ = std::make_unique<Link>(std::move(message->fds.front()));
    greeting_.reset();
    (void)job::keeper::send(caller.get(), Type::kDone);
  }

  void take_newcomer() {
    newcomer_->read();
    Result<std::optional<wire::Message>> message = newcomer_->next();
    if (message.ok() && !*message) return;
    if (!message.ok() || !(*message)->has_greeting()) return newcomer_.reset();
    greeting_ = (*message)->greeting();
    greet_newcomer();
  }

  // Once the program runs.
  void greet_newcomer() {
    if (!runs() || !newcomer_ || !greeting_) return;
    const wire::Greeting greeting = *std::exchange(greeting_, std::nullopt);
    const bool same = greeting.session() == session_;
    const bool resumed = same && greeting.known();
    if (resumed &&
        (!shown_.resume(greeting.shown()) || greeting.typed() > taken_ + waiting_.size()))
      return newcomer_.reset();
    if (link_ && !same) tell_left(*link_, 1);
    link_ = std::move(newcomer_);
    waiting_.clear();
    end_told_ = false;
    if (!resumed) {
      session_ = greeting.session();
      taken_ = greeting.typed();
      shown_.send_all_again();
    }
    if (greeting.has_window()) set_window(greeting.window());
    welcome(resumed);
  }

  void welcome(bool resumed) {
    wire::Message message;
    wire::Welcome& welcome = *message.mutable_welcome();
    welcome.set_resumed(resumed);
    welcome.set_taken(taken_);
    welcome.set_shown(shown_.begin());
    welcome.set_server(static_cast<std::uint64_t>(keeper_.value));
    welcome.set_name(one_line(name_));
    modes_ = modes();
    *welcome.mutable_modes() = modes_;
    if (const auto window = job_.window()) *welcome.mutable_window() = to_wire(*window);
    link_->send(message);
    if (stopped_ != 0) tell_stopped();
  }

  void set_window(const wire::Window& window) {
    if (window.rows() != 0 && window.columns() != 0) job_.set_window(from_wire(window));
  }

  wire::Modes modes() const {
    wire::Modes modes;
    const std::optional<char> end = job_.end_of_input();
    modes.set_lines(end.has_value());
    if (end) modes.set_end_of_input(static_cast<unsigned char>(*end));
    return modes;
  }

  void take_link(short events) {
    if ((events & POLLOUT) != 0) link_->write();
    if ((events & ~POLLOUT) != 0) link_->read();
    for (;;) {
      Result<std::optional<wire::Message>> message = link_->next();
      if (message.ok() && !*message) return;
      if (!message.ok() || !handle(**message)) return lose_link();
      if (bye_) return;
    }
  }

  void lose_link() {
    link_.reset();
    waiting_.clear();
    since_ = Clock::now();
  }

  bool handle(const wire::Message& message) {
    switch (message.kind_case()) {
      case wire::Message::kPiece:
        if (waiting_.size() + message.piece().bytes().size() > kMostTyped) return false;
        waiting_ += message.piece().bytes();
        take_typed();
        return true;
      case wire::Message::kTaken:
        return shown_.taken(message.taken().end());
      case wire::Message::kWindow:
        set_window(message.window());
        return true;
      case wire::Message::kPing:
        tell_modes();
        link_->send(message);
        return true;
      case wire::Message::kCommand:
        handle(message.command());
        return true;
      default:
        return false;
    }
  }

  void handle(const wire::Command& command) {
    if (command.bye()) bye_ = true;
    if (command.has_signal()) job_.say(Type::kSignal, command.signal());
    if (command.redraw()) job_.say(Type::kRedraw, 0);
    if (command.has_background())
      job_.say(Type::kBackground, job_.draws_screens() ? command.background() : 0);
    if (!command.go_on()) return;
    stopped_ = 0;
    job_.say(Type::kGoOn, 0);
  }

  // What is taken is in the program's terminal, or goes into an image of the job. What comes while
  // an image is taken that the job may end with is not: the user's end has it then still.
  void take_typed() {
    if (held_ || ended_ || left_ || waiting_.empty() || typed_.size() >= kMostTyped) return;
    typed_ += waiting_;
    taken_ += waiting_.size();
    waiting_.clear();
    if (link_) {
      wire::Message message;
      message.mutable_taken()->set_end(taken_);
      link_->send(message);
    }
    type();
  }

  void send_shown() {
    if (!link_) return;
    const bool all = (ended_ || left_) && all_is_shown();
    while (link_->has_room()) {
      const std::string_view next = shown_.unsent(kLongestPiece);
      if (next.empty()) break;
      tell_modes();
      wire::Message message;
      message.mutable_piece()->set_bytes(std::string(next));
      shown_.sent(next.size());
      link_->send(message);
    }
    if (all && shown_.unsent(1).empty()) tell_end();
  }

  void tell_end() {
    if (std::exchange(end_told_, true)) return;
    if (!ended_) return tell_left(*link_, *left_);
    wire::Message message;
    *message.mutable_event()->mutable_ended() = *ended_;
    link_->send(message);
  }

  static void tell_left(Link& link, int reason) {
    wire::Message message;
    message.mutable_event()->set_left(reason);
    link.send(message);
  }

  void tell_modes() {
    wire::Modes now = modes();
    if (now.lines() == modes_.lines() && now.end_of_input() == modes_.end_of_input()) return;
    modes_ = std::move(now);
    wire::Message message;
    *message.mutable_modes() = modes_;
    link_->send(message);
  }

  // After what the program had shown before.
  void tell_stopped() {
    if (!link_) return;
    (void)all_is_shown();
    send_shown();
    wire::Message message;
    message.mutable_event()->set_stopped(stopped_);
    link_->send(message);
  }

  void tell(const std::string& text) {
    if (!link_) return;
    wire::Message message;
    message.mutable_event()->set_tell(one_line(text));
    link_->send(message);
  }

  job::LocalTerminal job_;
  RealPid keeper_;
  std::string jobs_folder_, name_;
  UniqueFd listening_;
  std::unique_ptr<Link> link_, newcomer_;
  std::optional<wire::Greeting> greeting_;  // of newcomer_
  std::string session_;                     // of link_, or of who had it last
  NumberedBytes shown_;
  std::string waiting_;      // typed, and not taken
  std::string typed_;        // taken, and not in the terminal yet
  std::uint64_t taken_ = 0;  // number of the first byte that is not
  wire::Modes modes_;        // as they were told
  int stopped_ = 0;          // by that signal
  bool held_ = false, hears_ = true, gone_ = false, bye_ = false, end_told_ = false;
  std::optional<int> left_;
  std::optional<wire::Ended> ended_;
  Clock::time_point since_;  // nobody is there, or the job has ended
};

}  // namespace

Result<ClientOutcome> serve_terminal(ServerPlan plan) {
  Result<UniqueFd> listening =
      job::keeper::listen(server_socket(CK_TRY(job::this_host()).pid_namespace, plan.keeper_pid));
  if (!listening.ok() && listening.error().errnum == EADDRINUSE)
    return make_error(ErrorKind::kTryAgain, "the job's terminal has a server");
  const std::function<void()> ready = std::move(plan.on_ready);
  Server server(std::move(plan), CK_TRY(std::move(listening)));
  if (ready) ready();
  return server.run();
}

}  // namespace ck::driver::terminal
