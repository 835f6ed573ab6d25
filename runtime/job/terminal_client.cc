#include "runtime/job/terminal_client.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <optional>
#include <utility>
#include <vector>

#include "runtime/job/relay.h"
#include "runtime/job/user_terminal.h"

namespace ck::job {

using keeper::Message;
using keeper::Type;

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::chrono::milliseconds kLookAtForeground{100};
constexpr std::chrono::milliseconds kLookAtReaders{300};
// A program is given this time to draw a screen of another size, and this long to be done with it.
constexpr std::chrono::milliseconds kDrawBegins{800};
constexpr std::chrono::milliseconds kDrawEnds{40};
constexpr int kHungUp = 129;

// An open file of our own, which we may set not to block; else the one that is there.
UniqueFd own_open_file(int fd, int flags) {
  const std::string path = "/proc/self/fd/" + std::to_string(fd);
  UniqueFd own(::open(path.c_str(), flags | O_NOCTTY | O_NONBLOCK | O_CLOEXEC));
  return own ? std::move(own) : UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

// Only terminals and pipes: the position in a file is shared with others.
UniqueFd relay_end(int fd, int flags) {
  struct stat about {};
  const bool is_pipe = ::fstat(fd, &about) == 0 && S_ISFIFO(about.st_mode);
  if (is_pipe || ::isatty(fd) != 0) return own_open_file(fd, flags);
  return UniqueFd(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
}

sigset_t all_but_faults() {
  sigset_t set;
  sigfillset(&set);
  for (int number : {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGSYS, SIGABRT})
    sigdelset(&set, number);
  return set;
}

class Client {
 public:
  explicit Client(ClientOptions options)
      : options_(std::move(options)),
        job_(std::move(options_.job)),
        user_(UserTerminal::find()),
        input_end_(relay_end(0, O_RDONLY)),
        output_end_(relay_end(1, O_WRONLY)),
        name_(options_.name) {}

  Result<ClientOutcome> run() {
    CK_TRY(begin());
    while (!status_) {
      look_at_foreground();
      poll_once();
    }
    finish();
    return ClientOutcome{*status_, ended_};
  }

 private:
  Status begin() {
    const sigset_t set = all_but_faults();
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    signals_.reset(::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!signals_) return sys_error("watch for signals");
    std::string modes;
    std::vector<int> fds;
    if (user_) {
      modes.assign(reinterpret_cast<const char*>(&*user_.modes()), sizeof(terminal::Modes));
      fds.push_back(user_.fd());
    }
    return job_->attach(modes, fds);
  }

  bool relays() const { return input_.has_value(); }

  // While the shell has the terminal, what is typed is the shell's; nothing tells when that ends.
  void look_at_foreground() {
    const bool before = foreground_;
    foreground_ = user_.is_foreground();
    if (!relays()) return;
    if (!foreground_)
      be_in_background();
    else if (!user_.is_raw())
      user_.make_raw();
    user_.make_interruptible(foreground_ && job_->lost());
    if (foreground_ && !before) follow_window();
  }

  // Where there is a shell that could bring it back, a program that reads the terminal or changes
  // its modes is stopped, as the kernel does with others.
  void be_in_background() {
    user_.restore();
    if (::getsid(::getppid()) != ::getsid(0) || Clock::now() < look_at_readers_) return;
    look_at_readers_ = Clock::now() + kLookAtReaders;
    job_->say(Type::kBackground, job_->draws_screens() ? SIGTTOU : 0);
  }

  // Nobody had the slave open; somebody may again.
  void look_at_master() {
    if (!relays() || output_->open()) return;
    pollfd look{job_->bytes(), POLLIN, 0};
    if (::poll(&look, 1, 0) >= 0 && (look.revents & POLLHUP) == 0) output_->reopen();
  }

  void poll_once() {
    look_at_master();
    const bool types =
        relays() && foreground_ && !held_ && job_->connected() && input_->wants_to_read();
    const bool shows = relays() && output_->wants_to_read();
    std::vector<pollfd> fds{
        {signals_.get(), POLLIN, 0},
        {types ? input_->from() : -1, POLLIN, 0},
        {relays() && !held_ && input_->wants_to_write() ? input_->to() : -1, POLLOUT, 0},
        {shows ? output_->from() : -1, POLLIN, 0},
        {relays() && output_->wants_to_write() ? output_->to() : -1, POLLOUT, 0},
    };
    const std::size_t own = fds.size();
    job_->watch(fds);
    if (::poll(fds.data(), fds.size(), patience()) < 0 && errno != EINTR) return leave(1);
    job_->ready(std::span(fds).subspan(own));
    // What is said may end the typing.
    if (take_messages()) return;
    if (fds[4].revents != 0) show();
    if (fds[3].revents != 0) read_output();
    if (fds[2].revents != 0) type();
    if (fds[1].revents != 0) read_input();
    if (fds[0].revents != 0) take_signals();
    if (drawing_ && Clock::now() >= *drawing_) end_redraw();
  }

  int patience() const {
    auto wait = std::chrono::milliseconds(-1);
    if (user_ && (!foreground_ || (output_ && !output_->open()))) wait = kLookAtForeground;
    if (output_ && !output_->open()) wait = kLookAtForeground;
    if (drawing_) {
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(*drawing_ - Clock::now());
      wait = std::max(left, std::chrono::milliseconds(0));
    }
    const auto others = job_->patience();
    if (others.count() >= 0 && (wait.count() < 0 || others < wait)) wait = others;
    return static_cast<int>(wait.count());
  }

  // --- bytes

  void read_output() {
    output_->read();
    if (drawing_ && output_->wants_to_write()) {
      drawing_ = Clock::now() + kDrawEnds;
      drew_ = true;
    }
    show();
  }

  void show() {
    if (!output_->write()) leave(kHungUp);
  }

  void read_input() {
    if (input_->read() && input_->open()) return type();
    // In the background it fails too (EIO).
    if (user_ && !user_.is_foreground()) return input_->reopen();
    if (user_ && ::isatty(input_->from()) != 0) return leave(kHungUp);
    type_end_of_input();
    type();
  }

  void type_end_of_input() {
    const std::optional<char> end = job_->end_of_input();
    if (options_.end_of_input && end) input_->add(*end);
  }

  void type() { (void)input_->write(); }

  // --- signals

  void take_signals() {
    signalfd_siginfo info;
    while (::read(signals_.get(), &info, sizeof info) == sizeof info) {
      const int number = static_cast<int>(info.ssi_signo);
      interrupted_ = interrupted_ || number == SIGHUP || number == SIGINT || number == SIGQUIT ||
                     number == SIGTERM;
      if (number == SIGWINCH)
        follow_window();
      else if (number == SIGCONT)
        continue_program();
      else if (number == SIGHUP && info.ssi_code == SI_KERNEL)
        leave(kHungUp);
      else if (!job_->connected())
        take_signal_alone(number);
      else if (number != SIGCHLD && number != SIGPIPE && number != SIGTTIN && number != SIGTTOU)
        job_->say(Type::kSignal, number);
    }
  }

  // The job is out of reach: it goes on, and this process does as any program does.
  void take_signal_alone(int number) {
    if (number == SIGTSTP && job_->lost()) return stop();
    if (number != SIGHUP && number != SIGINT && number != SIGQUIT && number != SIGTERM) return;
    say("job " + name_ + " goes on; ckpt attach " + name_ + " shows it again");
    leave(128 + number);
  }

  void follow_window() {
    const std::optional<terminal::Window> window = user_.window();
    if (relays() && window && !drawing_) job_->set_window(*window);
  }

  void continue_program() { job_->say(Type::kGoOn); }

  // --- what the keeper says

  // Whether anything was said.
  bool take_messages() {
    for (bool any = false;; any = true) {
      Result<std::optional<Message>> message = job_->next();
      if (message.ok() && !*message) return any;
      if (message.ok()) {
        take_message(**message);
      } else {
        say("the job's terminal has gone: its keeper has died");
        leave(1);
      }
      if (status_) return true;
    }
  }

  void take_message(const Message& message) {
    switch (message.type) {
      case Type::kMaster:
        return start(message.text);
      case Type::kHold:
        return hold();
      case Type::kGo:
        held_ = false;
        return;
      case Type::kStopped:
        return stop();
      case Type::kLeave:
        drain();
        user_.restore();
        say(message.value == 0 ? "detached from job " + name_
                               : "job " + name_ + " has gone to another terminal");
        return leave(0);
      case Type::kTell:
        return say(message.text);
      case Type::kRedraw:
        return redraw();
      case Type::kEnded:
        drain();
        if (go_elsewhere(message.value)) return;
        if (!message.text.empty()) say(message.text);
        status_ = message.value;
        ended_ = true;
        return;
      default:
        return;
    }
  }

  // The keeper that was ours stays as long as this process, for it restores the user's terminal if
  // this is killed.
  bool go_elsewhere(int status) {
    if (!options_.elsewhere || former_) return false;
    std::unique_ptr<JobTerminal> there = options_.elsewhere(name_, status);
    if (!there) return false;
    const std::string pending = relays() ? input_->pending() : std::string();
    former_ = std::exchange(job_, std::move(there));
    held_ = false;
    drawing_.reset();
    relay();
    input_->add(pending);
    follow_window();
    return true;
  }

  void relay() {
    input_.emplace(input_end_.get(), job_->bytes());
    output_.emplace(job_->bytes(), output_end_.get());
  }

  // What was about to be typed is the keeper's now.
  void hold() {
    held_ = true;
    if (job_->held(relays() ? input_->pending() : std::string()) && relays())
      input_->forget_pending();
  }

  void start(const std::string& name) {
    name_ = name;
    if (relays() && input_->to() == job_->bytes()) return follow_window();
    relay();
    look_at_foreground();
    if (options_.redraw)
      redraw();
    else
      follow_window();
  }

  // --- the screen

  // A program that is told of its old size has no reason to draw anything.
  void redraw() {
    if (options_.how == Redraw::kAuto && job_->draws_screens()) return begin_redraw();
    follow_window();
    if (options_.how == Redraw::kWinch) job_->say(Type::kRedraw);
  }

  void begin_redraw() {
    std::optional<terminal::Window> window = user_.window();
    const std::optional<terminal::Window> now = job_->window();
    if (!window || !now) return;
    const unsigned rows = window->ws_row > 3 ? window->ws_row - 1u : window->ws_row + 1u;
    window->ws_row = static_cast<unsigned short>(rows == now->ws_row ? rows + 2 : rows);
    drew_ = false;
    at_other_size_ = true;
    drawing_ = Clock::now() + kDrawBegins;
    --attempts_;
    job_->set_window(*window);
  }

  // A signal that comes just before a program begins to wait for a key is not noticed until that
  // key is typed. Where nothing was drawn, neither now nor at the true size, others are sent.
  void end_redraw() {
    drawing_.reset();
    follow_window();
    const bool again = std::exchange(at_other_size_, false);
    if (drew_) return;
    if (again)
      drawing_ = Clock::now() + kDrawBegins;
    else if (attempts_ > 0)
      begin_redraw();
  }

  // --- ^Z

  // As the program did: the whole process group, so that whoever started this with others sees them
  // all stopped. In a group without a shell that could continue it, nothing stops.
  void stop() {
    drain();
    user_.restore();
    const bool was_in_background = !foreground_;
    struct sigaction plain {};
    plain.sa_handler = SIG_DFL;
    struct sigaction before {};
    ::sigaction(SIGTSTP, &plain, &before);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    ::kill(0, SIGTSTP);
    ::sigprocmask(SIG_UNBLOCK, &set, nullptr);
    ::sigprocmask(SIG_BLOCK, &set, nullptr);
    ::sigaction(SIGTSTP, &before, nullptr);
    sigemptyset(&set);
    sigaddset(&set, SIGCONT);
    const timespec now{};
    (void)::sigtimedwait(&set, nullptr, &now);
    look_at_foreground();
    continue_program();
    if (was_in_background && foreground_) redraw();  // it has not drawn for this screen, if at all
  }

  // However slow the user's terminal is; until it hangs up or a signal says otherwise.
  bool wait_for_room() {
    pollfd fds[] = {{output_->to(), POLLOUT, 0}, {signals_.get(), POLLIN, 0}};
    if (::poll(fds, std::size(fds), -1) < 0) return errno == EINTR;
    if (fds[1].revents != 0) take_signals();
    return !interrupted_;
  }

  // What the program has written so far.
  void drain() {
    if (!relays()) return;
    for (;;) {
      if (!output_->wants_to_write()) {
        pollfd ready{output_->from(), POLLIN, 0};
        if (!output_->open() || ::poll(&ready, 1, 0) <= 0) return;
        output_->read();
        if (!output_->wants_to_write()) return;
      }
      if (!output_->write()) return;
      if (output_->wants_to_write() && !wait_for_room()) return;
    }
  }

  void say(const std::string& text) const {
    std::fprintf(stderr, user_.is_raw() ? "\r\n%s: %s\r\n" : "%s: %s\n", options_.tool.c_str(),
                 text.c_str());
  }

  void leave(int status) {
    if (!status_) status_ = status;
  }

  void finish() {
    user_.restore();
    job_->say(Type::kBye);
    if (former_) former_->say(Type::kBye);
  }

  ClientOptions options_;
  std::unique_ptr<JobTerminal> job_, former_;
  UserTerminal user_;
  UniqueFd input_end_, output_end_, signals_;
  std::optional<Relay> input_, output_;
  std::string name_;
  bool foreground_ = true, held_ = false;
  bool interrupted_ = false;                  // by a signal that usually ends a program
  Clock::time_point look_at_readers_;         // not before
  std::optional<Clock::time_point> drawing_;  // until then at another size than the user's
  bool drew_ = false, at_other_size_ = false;
  int attempts_ = 3;
  std::optional<int> status_;
  bool ended_ = false;
};

}  // namespace

Result<Redraw> parse_redraw(std::string_view text) {
  if (text == "auto") return Redraw::kAuto;
  if (text == "winch") return Redraw::kWinch;
  if (text == "none") return Redraw::kNone;
  return make_error(ErrorKind::kUsage, "'" + std::string(text) + "' is not a way to redraw",
                    "write auto, winch or none");
}

Result<ClientOutcome> run_terminal_client(ClientOptions options) {
  return Client(std::move(options)).run();
}

}  // namespace ck::job
