#include "runtime/job/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <list>
#include <optional>

#include "runtime/base/death.h"
#include "runtime/job/keeper_wire.h"
#include "runtime/job/ownership.h"
#include "runtime/proc/status.h"
#include "runtime/terminal/queues.h"

namespace ck::job::keeper {
namespace {

using Clock = std::chrono::steady_clock;
// A client of a busy machine. One that is stopped does not answer at all.
constexpr std::chrono::milliseconds kHoldPatience{2000};
constexpr std::chrono::milliseconds kLookAtClient{20};
// For a client that another one takes the place of. One that is stopped does not answer.
constexpr std::chrono::milliseconds kLeavePatience{1000};
constexpr std::chrono::seconds kDyingPatience{2};
constexpr int kUnknownStatus = 71;
constexpr std::size_t kPart = 65536;

struct Connection {
  UniqueFd socket;
  UniqueFd terminal;  // the client's own
  std::optional<terminal::Modes> modes;
};

class Keeper {
 public:
  explicit Keeper(Plan plan)
      : listening_(std::move(plan.listening)),
        master_(std::move(plan.master)),
        child_(plan.supervisor) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!plan.client) return;
    connections_.push_back({std::move(plan.client), {}, {}});
    awaited_ = &connections_.front();
  }

  int run() {
    collect();
    while (!over()) {
      std::vector<pollfd> fds{{listening_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      const bool drains = is_alone() && running_ && !hung_up_;
      const bool types = !backlog_.empty() && running_ && !hung_up_;
      const auto wanted = static_cast<short>((drains ? POLLIN : 0) | (types ? POLLOUT : 0));
      fds.push_back({wanted != 0 ? master_.get() : -1, wanted, 0});
      for (const Connection& one : connections_) fds.push_back({one.socket.get(), POLLIN, 0});
      if (::poll(fds.data(), fds.size(), patience()) < 0 && errno != EINTR) break;
      if (types && fds[2].revents != 0) type_backlog();
      if (drains && (fds[2].revents & ~POLLOUT) != 0) drain();
      if (fds[1].revents != 0) collect();
      handle_ready({fds.begin() + 3, fds.end()});
      if (fds[0].revents != 0) accept();
      if (leaving_ != nullptr && Clock::now() >= leaves_by_) has_left(*leaving_);
      if (dies_by_ && Clock::now() >= *dies_by_) goes_on_alone();
    }
    return end_.value_or(kUnknownStatus);
  }

 private:
  // The client relays what is left, to a terminal that may be slow, and closes.
  bool over() const { return end_ && is_alone(); }

  // Nobody wants what the program writes. The first client does, which may be slower to come than
  // the program is to end.
  bool is_alone() const { return client_ == nullptr && awaited_ == nullptr; }

  int patience() const {
    if (leaving_ != nullptr || dies_by_) {
      const auto next = leaving_ == nullptr ? *dies_by_
                        : dies_by_          ? std::min(leaves_by_, *dies_by_)
                                            : leaves_by_;
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
      return static_cast<int>(std::max<std::int64_t>(left.count(), 0));
    }
    if (hung_up_ && !end_) return 200;  // somebody may open the slave again
    return -1;
  }

  void drain() {
    char bytes[kPart];
    const ssize_t count = ::read(master_.get(), bytes, sizeof bytes);
    hung_up_ = count < 0 && errno == EIO;
  }

  // What is typed waits here while the program does not read; the client is held meanwhile.
  void type_backlog() {
    const int flags = ::fcntl(master_.get(), F_GETFL);
    if ((flags & O_NONBLOCK) == 0) ::fcntl(master_.get(), F_SETFL, flags | O_NONBLOCK);
    const ssize_t count = ::write(master_.get(), backlog_.data(), backlog_.size());
    hung_up_ = count < 0 && errno == EIO;
    if (count > 0) backlog_.erase(0, static_cast<std::size_t>(count));
    release_client();
  }

  static std::string content(const Message& message) {
    if (message.fds.empty()) return {};
    Result<std::string> bytes = from_file(message.fds.front().get());
    return bytes.ok() ? *std::move(bytes) : std::string();
  }

  void accept() {
    UniqueFd socket(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (socket && is_friend(socket.get())) connections_.push_back({std::move(socket), {}, {}});
  }

  void handle_ready(const std::vector<pollfd>& fds) {
    auto one = connections_.begin();
    for (const pollfd& fd : fds) {
      const auto here = one++;
      if (fd.revents == 0) continue;
      Result<Message> message = receive(here->socket.get());
      if (message.ok())
        handle(*here, *message);
      else
        close(here);
    }
    if (hung_up_) hung_up_ = !look_again();
  }

  bool look_again() const {
    pollfd look{master_.get(), POLLIN, 0};
    return ::poll(&look, 1, 0) >= 0 && (look.revents & POLLHUP) == 0;
  }

  void close(std::list<Connection>::iterator one) {
    if (&*one == client_) drop_client();
    has_left(*one);
    if (&*one == supervisor_) supervisor_ = nullptr;
    if (&*one == awaited_) awaited_ = nullptr;
    connections_.erase(one);
    end_if_deserted();
  }

  // A client that was killed leaves its user's terminal as it had made it.
  void drop_client() {
    if (client_->terminal && client_->modes)
      (void)terminal::set_modes(client_->terminal.get(), *client_->modes);
    client_->terminal.reset();
    forget_client();
  }

  void forget_client() {
    client_ = nullptr;
    holds_ = held_ = false;
  }

  void handle(Connection& from, Message& message) {
    switch (message.type) {
      case Type::kAttach:
        return attach(from, message);
      case Type::kBye:
        from.modes.reset();
        if (&from == client_) drop_client();
        if (&from == awaited_) awaited_ = nullptr;
        return has_left(from);
      case Type::kGoOn:
      case Type::kSignal:
      case Type::kRedraw:
      case Type::kBackground:
        return for_supervisor(message);
      case Type::kSupervise:
        supervisor_ = &from;
        name_ = message.text;
        return thaw();
      case Type::kUse:
        if (!message.fds.empty()) use(std::move(message.fds.front()));
        return;
      case Type::kType:
        backlog_ += content(message);
        return;
      case Type::kHeld:
        backlog_ += content(message);
        held_ = held_ || &from == client_;
        return release_client();
      case Type::kRun:
        running_ = true;
        return give_master();
      case Type::kStopped:
      case Type::kTell:
        if (client_ != nullptr) pass(*client_, message);
        return;
      case Type::kEnded:
        return end(message.value);
      case Type::kThaw:
        return thaw();
      case Type::kPeek:
        frozen_ = frozen_ || message.value != 0;
        return answer_peek(from);
      case Type::kMasterOnly: {
        const int master = master_.get();
        (void)send(from.socket.get(), Type::kMaster, 0, name_, std::span(&master, 1));
        return;
      }
      case Type::kDetach:
        (void)send(from.socket.get(), Type::kDone, client_ != nullptr);
        if (client_ != nullptr) leave(0);
        return;
      default:
        return;
    }
  }

  static void pass(const Connection& to, const Message& message) {
    (void)send(to.socket.get(), message.type, message.value, message.text);
  }

  void attach(Connection& from, Message& message) {
    if (client_ != nullptr && client_ != &from) {
      leaving_ = client_;
      leaves_by_ = Clock::now() + kLeavePatience;
      leave(1);
    }
    client_ = &from;
    awaited_ = nullptr;
    if (!message.fds.empty()) from.terminal = std::move(message.fds.front());
    if (message.text.size() == sizeof(terminal::Modes)) {
      from.modes.emplace();
      std::memcpy(&*from.modes, message.text.data(), sizeof(terminal::Modes));
    }
    if (running_) give_master();
    if (end_) tell_end();
  }

  // Not while a former client has it: what that one still reads, this one would not show.
  void has_left(const Connection& client) {
    if (&client != leaving_) return;
    leaving_ = nullptr;
    if (running_) give_master();
  }

  void give_master() {
    if (client_ == nullptr || leaving_ != nullptr) return;
    if (!backlog_.empty() || frozen_) send_hold();
    const int master = master_.get();
    (void)send(client_->socket.get(), Type::kMaster, 0, name_, std::span(&master, 1));
  }

  void leave(int reason) {
    (void)send(client_->socket.get(), Type::kLeave, reason);
    forget_client();  // it restores its terminal itself; if it cannot, nobody is there to mind
  }

  // Before there is a connection, signals are all that the supervisor can be told.
  void for_supervisor(const Message& message) {
    if (supervisor_ != nullptr)
      pass(*supervisor_, message);
    else if (message.type == Type::kSignal && child_ > 0)
      ::kill(child_, message.value);
  }

  void use(UniqueFd master) {
    // What hangs up is no terminal of the job's, but this process leads its session.
    const int tty = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (tty >= 0) {
      (void)::ioctl(tty, TIOCNOTTY);
      ::close(tty);
    }
    master_ = std::move(master);
  }

  // The client types nothing meanwhile, and a child without a terminal of its own does it: this
  // process is in the background of the terminal, and may not read.
  void answer_peek(const Connection& from) {
    hold_client();
    const std::optional<Peeked> seen = peek_in_child();
    if (!seen) {
      (void)send(from.socket.get(), Type::kInput);
      return release_client();
    }
    const std::string before = seen->input.behind.substr(0, seen->typed);
    backlog_.insert(0, seen->input.behind, seen->typed);
    const Result<UniqueFd> file = as_file(before + backlog_);
    const int fd = file.ok() ? file->get() : -1;
    (void)send(from.socket.get(), Type::kInput, 0, seen->input.queued,
               std::span(&fd, file.ok() ? 1 : 0));
    release_client();
  }

  bool send_hold() {
    if (!holds_) holds_ = send(client_->socket.get(), Type::kHold).ok();
    return holds_;
  }

  static bool is_stopped(const Connection& client) {
    ucred peer{};
    socklen_t size = sizeof peer;
    if (::getsockopt(client.socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
    const Result<proc::ProcessStatus> status = proc::read_status(RealPid(peer.pid));
    return status.ok() && status->state == 'T';
  }

  // One that is stopped does not answer, and types nothing either until it does.
  void hold_client() {
    if (client_ == nullptr || !send_hold()) return;
    const auto deadline = Clock::now() + kHoldPatience;
    while (client_ != nullptr && holds_ && !held_ && Clock::now() < deadline) {
      pollfd ready{client_->socket.get(), POLLIN, 0};
      if (::poll(&ready, 1, static_cast<int>(kLookAtClient.count())) <= 0) {
        if (is_stopped(*client_)) break;
        continue;
      }
      Result<Message> message = receive(client_->socket.get());
      if (!message.ok()) break;
      handle(*client_, *message);
    }
  }

  void thaw() {
    frozen_ = false;
    dies_by_.reset();
    release_client();
  }

  // Once all is typed that comes before.
  void release_client() {
    if (client_ == nullptr || !held_ || frozen_ || !backlog_.empty()) return;
    (void)send(client_->socket.get(), Type::kGo);
    holds_ = held_ = false;
  }

  struct Peeked {
    terminal::Input input;
    std::size_t typed = 0;  // of what is behind: found room again
  };

  std::optional<Peeked> peek_in_child() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return {};
    UniqueFd reader(ends[0]), writer(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
      ::setsid();
      tell_peeked(writer.get());
      ::_exit(0);
    }
    writer.reset();
    std::string bytes;
    char part[4096];
    for (ssize_t count; (count = ::read(reader.get(), part, sizeof part)) > 0;)
      bytes.append(part, static_cast<std::size_t>(count));
    if (child > 0) ::waitpid(child, nullptr, 0);
    std::size_t sizes[2];
    if (bytes.size() < sizeof sizes) return {};
    std::memcpy(sizes, bytes.data(), sizeof sizes);
    bytes.erase(0, sizeof sizes);
    return Peeked{{bytes.substr(0, sizes[0]), bytes.substr(sizes[0])}, sizes[1]};
  }

  void tell_peeked(int pipe) const {
    const Result<UniqueFd> slave = terminal::open_slave(master_.get(), O_RDWR | O_NONBLOCK);
    const Result<terminal::Modes> modes = terminal::modes_of(master_.get());
    if (!slave.ok() || !modes.ok()) return;
    const Result<terminal::Input> input = terminal::take_input(master_.get(), slave->get());
    if (!input.ok()) return;
    const Result<std::size_t> typed = terminal::put_input(master_.get(), *modes, *input);
    const std::size_t sizes[] = {typed.ok() ? input->queued.size() : 0, typed.ok() ? *typed : 0};
    std::string bytes(reinterpret_cast<const char*>(sizes), sizeof sizes);
    bytes += input->queued + input->behind;
    (void)!::write(pipe, bytes.data(), bytes.size());
  }

  // The supervisor's end decides; of those that it leaves behind, the last one's does.
  void collect() {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
    }
    int status = 0;
    for (pid_t pid; (pid = ::waitpid(-1, &status, WNOHANG | __WALL)) > 0;) {
      if (pid != child_) continue;
      child_ = 0;
      if (WIFEXITED(status))
        end(WEXITSTATUS(status));
      else if (dies_of(WTERMSIG(status)))  // as the program did
        end(kBySignal | exit_status_of(status));
      else if (!running_)
        end(128 + WTERMSIG(status));
      else
        has_lost_supervisor();
    }
    end_if_deserted();
  }

  // A program that stands still dies with its supervisor if its image is safe, but not at once:
  // what is typed meanwhile is for its next life.
  void has_lost_supervisor() {
    if (!frozen_) return goes_on_alone();
    dies_by_ = Clock::now() + kDyingPatience;
  }

  void goes_on_alone() {
    thaw();
    if (client_ != nullptr)
      (void)send(client_->socket.get(), Type::kTell, 0,
                 "the supervisor has died; the program goes on, and ckpt starts another");
  }

  void end_if_deserted() {
    if (end_ || child_ != 0 || supervisor_ != nullptr) return;
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0 && errno == ECHILD)
      end(kUnknownStatus,
          "the program has ended; its status is unknown, for its supervisor had died");
  }

  void end(int status, const std::string& text = {}) {
    if (end_) return;
    dies_by_.reset();
    end_ = status;
    end_text_ = text;
    if (client_ != nullptr) tell_end();
  }

  void tell_end() const { (void)send(client_->socket.get(), Type::kEnded, *end_, end_text_); }

  UniqueFd listening_, signals_, master_;
  pid_t child_;  // the supervisor that this process waits for; 0: it has ended
  std::string name_;
  bool running_ = false, hung_up_ = false;
  std::optional<int> end_;
  std::string end_text_;
  std::list<Connection> connections_;
  std::string backlog_;  // typed, and not in the terminal yet
  Connection* client_ = nullptr;
  Connection* awaited_ = nullptr;      // the first client, until it attaches
  bool holds_ = false, held_ = false;  // it was told kHold; it has answered
  bool frozen_ = false;                // what is typed now might never be read by the program
  Connection* leaving_ = nullptr;      // it was told kLeave, for the client to come
  Clock::time_point leaves_by_;
  std::optional<Clock::time_point> dies_by_;  // or else it goes on without its supervisor
  Connection* supervisor_ = nullptr;
};

}  // namespace

void run(Plan plan) {
  const int status = Keeper(std::move(plan)).run();
  ::_exit(status);
}

}  // namespace ck::job::keeper
