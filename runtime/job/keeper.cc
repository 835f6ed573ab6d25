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

#include "runtime/job/keeper_wire.h"
#include "runtime/terminal/queues.h"

namespace ck::job::keeper {
namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kHoldPatience{200};
constexpr std::chrono::seconds kLastPatience{10};  // for the client to relay what is left
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
    if (plan.client) connections_.push_back({std::move(plan.client), {}, {}});
  }

  int run() {
    collect();
    while (!over()) {
      std::vector<pollfd> fds{{listening_.get(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      const bool drains = client_ == nullptr && running_ && !hung_up_;
      fds.push_back({drains ? master_.get() : -1, POLLIN, 0});
      for (const Connection& one : connections_) fds.push_back({one.socket.get(), POLLIN, 0});
      if (::poll(fds.data(), fds.size(), patience()) < 0 && errno != EINTR) break;
      if (fds[2].revents != 0) drain();
      if (fds[1].revents != 0) collect();
      handle_ready({fds.begin() + 3, fds.end()});
      if (fds[0].revents != 0) accept();
    }
    return end_.value_or(kUnknownStatus);
  }

 private:
  // The client relays what is left, and closes.
  bool over() const { return end_ && (client_ == nullptr || Clock::now() >= give_up_); }

  int patience() const {
    if (hung_up_ && !end_) return 200;  // somebody may open the slave again
    return end_ ? 100 : -1;
  }

  void drain() {
    char bytes[kPart];
    const ssize_t count = ::read(master_.get(), bytes, sizeof bytes);
    hung_up_ = count < 0 && errno == EIO;
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
    if (&*one == supervisor_) supervisor_ = nullptr;
    connections_.erase(one);
    end_if_deserted();
  }

  // A client that was killed leaves its user's terminal as it had made it.
  void drop_client() {
    if (client_->terminal && client_->modes)
      (void)terminal::set_modes(client_->terminal.get(), *client_->modes);
    client_->terminal.reset();
    client_ = nullptr;
  }

  void handle(Connection& from, Message& message) {
    switch (message.type) {
      case Type::kAttach:
        return attach(from, message);
      case Type::kBye:
        from.modes.reset();
        if (&from == client_) drop_client();
        return;
      case Type::kGoOn:
      case Type::kSignal:
      case Type::kRedraw:
      case Type::kBackground:
        return for_supervisor(message);
      case Type::kSupervise:
        supervisor_ = &from;
        name_ = message.text;
        return;
      case Type::kUse:
        if (!message.fds.empty()) use(std::move(message.fds.front()));
        return;
      case Type::kRun:
        running_ = true;
        return give_master();
      case Type::kStopped:
      case Type::kTell:
        if (client_ != nullptr) pass(*client_, message);
        return;
      case Type::kEnded:
        return end(message.value);
      case Type::kPeek:
        (void)send(from.socket.get(), Type::kInput, 0, peek());
        return;
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
    if (client_ != nullptr && client_ != &from) leave(1);
    client_ = &from;
    if (!message.fds.empty()) from.terminal = std::move(message.fds.front());
    if (message.text.size() == sizeof(terminal::Modes)) {
      from.modes.emplace();
      std::memcpy(&*from.modes, message.text.data(), sizeof(terminal::Modes));
    }
    if (running_) give_master();
  }

  void give_master() {
    if (client_ == nullptr) return;
    const int master = master_.get();
    (void)send(client_->socket.get(), Type::kMaster, 0, name_, std::span(&master, 1));
  }

  void leave(int reason) {
    (void)send(client_->socket.get(), Type::kLeave, reason);
    client_ = nullptr;  // it restores its terminal itself; if it cannot, nobody is there to mind
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
  std::string peek() {
    const bool held = hold_client();
    std::string bytes = peek_in_child();
    if (held) (void)send(client_->socket.get(), Type::kGo);
    return bytes;
  }

  bool hold_client() {
    if (client_ == nullptr || !send(client_->socket.get(), Type::kHold).ok()) return false;
    const auto deadline = Clock::now() + kHoldPatience;
    while (Clock::now() < deadline) {
      pollfd ready{client_->socket.get(), POLLIN, 0};
      if (::poll(&ready, 1, static_cast<int>(kHoldPatience.count())) <= 0) break;
      Result<Message> message = receive(client_->socket.get());
      if (!message.ok() || message->type == Type::kHeld) break;
      if (message->type == Type::kBye) {
        handle(*client_, *message);
        return false;
      }
      handle(*client_, *message);
    }
    return true;
  }

  std::string peek_in_child() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return {};
    UniqueFd reader(ends[0]), writer(ends[1]);
    const pid_t child = ::fork();
    if (child == 0) {
      ::setsid();
      const std::string bytes = take_and_put(master_.get());
      (void)!::write(writer.get(), bytes.data(), bytes.size());
      ::_exit(0);
    }
    writer.reset();
    std::string bytes;
    char part[4096];
    for (ssize_t count; (count = ::read(reader.get(), part, sizeof part)) > 0;)
      bytes.append(part, static_cast<std::size_t>(count));
    if (child > 0) ::waitpid(child, nullptr, 0);
    return bytes;
  }

  static std::string take_and_put(int master) {
    const Result<UniqueFd> slave = terminal::open_slave(master, O_RDWR | O_NONBLOCK);
    const Result<terminal::Modes> modes = terminal::modes_of(master);
    if (!slave.ok() || !modes.ok()) return {};
    Result<std::string> bytes = terminal::take_input(master, slave->get());
    if (!bytes.ok()) return {};
    (void)terminal::put_input(master, *modes, *bytes);
    return *std::move(bytes);
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
      else if (!running_)
        end(128 + WTERMSIG(status));
      else if (client_ != nullptr)
        (void)send(client_->socket.get(), Type::kTell, 0,
                   "the supervisor has died; the program goes on, and ckpt starts another");
    }
    end_if_deserted();
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
    end_ = status;
    give_up_ = Clock::now() + kLastPatience;
    if (client_ != nullptr) (void)send(client_->socket.get(), Type::kEnded, status, text);
  }

  UniqueFd listening_, signals_, master_;
  pid_t child_;  // the supervisor that this process waits for; 0: it has ended
  std::string name_;
  bool running_ = false, hung_up_ = false;
  std::optional<int> end_;
  Clock::time_point give_up_;
  std::list<Connection> connections_;
  Connection* client_ = nullptr;
  Connection* supervisor_ = nullptr;
};

}  // namespace

void run(Plan plan) {
  const int status = Keeper(std::move(plan)).run();
  ::_exit(status);
}

}  // namespace ck::job::keeper
