// ckpt top: hosts and jobs of the cluster, live in the terminal.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <memory>

#include "driver/client/client.h"
#include "driver/protocol/frame.h"
#include "runtime/base/unique_fd.h"
#include "runtime/job/job_dir.h"
#include "runtime/job/settings.h"
#include "tools/ckpt.h"
#include "tools/cli.h"
#include "tools/host_rows.h"
#include "tools/print.h"
#include "tools/top_view.h"

namespace ck::tools {
namespace {

namespace json = boost::json;
namespace wire = protocol::wire;
using std::chrono::milliseconds;

constexpr milliseconds kPatience{120000};  // as for ckpt hosts

struct Options {
  milliseconds interval{2000};
  bool once = false;
  bool json = false;
};

struct Cluster {
  wire::HostsReply hosts;
  wire::AllJobsReply jobs;
};

Result<Cluster> ask(int cancel) {
  Cluster cluster;
  wire::ControlRequest about_hosts, about_jobs;
  about_hosts.mutable_hosts();
  about_jobs.mutable_all_jobs();
  cluster.hosts = CK_TRY(client::ask_daemon(std::move(about_hosts), kPatience, {}, cancel)).hosts();
  cluster.jobs =
      CK_TRY(client::ask_daemon(std::move(about_jobs), kPatience, {}, cancel)).all_jobs();
  return cluster;
}

// Those that run.
template <typename Visit>
void for_each_job(const Cluster& cluster, Visit visit) {
  for (const wire::HostJobs& host : cluster.jobs.hosts())
    for (const wire::JobRecord& job : host.jobs().jobs())
      if (job.supervisor() != 0) visit(host.name(), job);
}

TopView view_of(const Cluster& cluster) {
  TopView view;
  view.time = format_unix_ns(job::unix_now_ns());
  view.hosts.push_back(host_heading());
  for (const wire::HostRow& row : cluster.hosts.rows()) view.hosts.push_back(host_cells(row));
  view.jobs.push_back(job_heading());
  for_each_job(cluster, [&](const std::string& host, const wire::JobRecord& job) {
    view.jobs.push_back(job_cells(host, job));
  });
  return view;
}

Result<int> print_once(bool as_json) {
  const Cluster cluster = CK_TRY(ask(-1));
  if (!as_json) {
    const TopView view = view_of(cluster);
    print_table(view.hosts);
    std::puts("");
    print_table(view.jobs);
    return 0;
  }
  json::array hosts, jobs;
  for (const wire::HostRow& row : cluster.hosts.rows()) hosts.push_back(host_json(row));
  for_each_job(cluster, [&](const std::string& host, const wire::JobRecord& job) {
    jobs.push_back(job_json(host, job));
  });
  print_json_line(json::object{{"hosts", std::move(hosts)}, {"jobs", std::move(jobs)}});
  return 0;
}

// The terminal while it shows us: another screen, no cursor, keys as they come. As it was once this
// is gone.
class Screen {
 public:
  Screen() {
    tcgetattr(STDIN_FILENO, &before_);
    enter();
  }
  Screen(const Screen&) = delete;
  Screen& operator=(const Screen&) = delete;
  ~Screen() { leave(); }

  void enter() {
    termios modes = before_;
    modes.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    modes.c_cc[VMIN] = 0;
    modes.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSADRAIN, &modes);
    write("\033[?1049h\033[?25l\033[H\033[2J");
  }

  void leave() {
    write("\033[?25h\033[?1049l");
    tcsetattr(STDIN_FILENO, TCSADRAIN, &before_);
  }

  void draw(const TopView& view) {
    winsize size{};
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0 || size.ws_row == 0)
      size = {24, 80, 0, 0};
    std::string text = "\033[H";
    bool first = true;
    for (const std::string& line : top_lines(view, size.ws_col, size.ws_row)) {
      text += (first ? "" : "\r\n") + line + "\033[K";
      first = false;
    }
    write(text + "\033[J");
  }

 private:
  static void write(const std::string& text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  }
  termios before_{};
};

// Keys and signals, as one descriptor that can be waited for.
class Events {
 public:
  static Result<Events> open() {
    Events events;
    sigset_t signals;
    sigemptyset(&signals);
    for (int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGTSTP, SIGWINCH})
      sigaddset(&signals, number);
    sigprocmask(SIG_BLOCK, &signals, nullptr);
    events.signals_.reset(signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC));
    events.both_.reset(epoll_create1(EPOLL_CLOEXEC));
    if (!events.signals_ || !events.both_) return sys_error("wait for keys and signals");
    for (int fd : {STDIN_FILENO, events.signals_.get()}) {
      epoll_event event{EPOLLIN, {}};
      if (epoll_ctl(events.both_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
        return sys_error("wait for keys and signals");
    }
    return events;
  }

  int fd() const { return both_.get(); }
  bool wait(milliseconds time) const {
    pollfd watched{fd(), POLLIN, 0};
    return poll(&watched, 1, static_cast<int>(time.count())) > 0;
  }
  bool are_there() const { return wait(milliseconds(0)); }
  // The next signal; 0: none.
  int signal() const {
    signalfd_siginfo info;
    return read(signals_.get(), &info, sizeof info) == sizeof info
               ? static_cast<int>(info.ssi_signo)
               : 0;
  }
  // All keys that were typed; false: there is nobody who could type.
  bool keys(std::string& typed) const {
    pollfd watched{STDIN_FILENO, POLLIN, 0};
    if (poll(&watched, 1, 0) <= 0) return true;
    char buffer[256];
    const ssize_t count = read(STDIN_FILENO, buffer, sizeof buffer);
    if (count > 0) typed.assign(buffer, static_cast<std::size_t>(count));
    return count > 0;
  }

 private:
  UniqueFd signals_, both_;
};

// As if it had not been caught.
void end_by(int number) {
  signal(number, SIG_DFL);
  sigset_t only;
  sigemptyset(&only);
  sigaddset(&only, number);
  raise(number);
  sigprocmask(SIG_UNBLOCK, &only, nullptr);
}

// What has happened meanwhile: the signal to end by, 0 to end, -1 to go on.
int handle(const Events& events, Screen& screen) {
  std::string typed;
  if (!events.keys(typed) || typed.find_first_of("qQ") != std::string::npos) return 0;
  while (const int number = events.signal()) {
    if (number == SIGWINCH) continue;
    if (number != SIGTSTP) return number;
    screen.leave();
    raise(SIGSTOP);
    screen.enter();
  }
  return -1;
}

Result<int> show(const Options& options) {
  const Events events = CK_TRY(Events::open());
  // Before the screen is taken: without a ckd there is nothing to show.
  TopView view = view_of(CK_TRY(ask(-1)));
  int end = -1;
  {
    Screen screen;
    while (end < 0) {
      screen.draw(view);
      events.wait(options.interval);
      end = handle(events, screen);
      if (end >= 0) break;
      screen.draw(view);
      const Result<Cluster> cluster = ask(events.fd());
      if (cluster.ok()) {
        view = view_of(*cluster);
      } else if (!events.are_there()) {
        view.trouble = printable(cluster.error().text());
      }
    }
  }
  if (end > 0) end_by(end);
  return 0;
}

Result<int> top(const Options& options) {
  if (options.once) return print_once(options.json);
  if (options.json)
    return make_error(ErrorKind::kUsage, "--json is for one view", "ckpt top --once --json");
  const char* type = getenv("TERM");
  if (isatty(STDIN_FILENO) != 1 || isatty(STDOUT_FILENO) != 1 || type == nullptr ||
      std::string(type) == "dumb")
    return make_error(ErrorKind::kUsage, "ckpt top needs a terminal",
                      "ckpt top --once prints one view");
  return show(options);
}

Result<milliseconds> parse_interval(std::string_view text) {
  const milliseconds interval = CK_TRY(job::parse_duration(text));
  if (interval >= milliseconds(100) && interval <= std::chrono::hours(1)) return interval;
  return make_error(ErrorKind::kUsage, "'" + std::string(text) + "' is not from 100ms to 1h");
}

}  // namespace

void declare_top(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("top", "Show hosts and your running jobs, live");
  auto options = std::make_shared<Options>();
  add_parsed(*sub, "--interval", options->interval, parse_interval, "TIME",
             "How often the hosts are asked (default: 2s)");
  sub->add_flag("--once", options->once, "Print one view and end");
  sub->add_flag("--json", options->json, "With --once: print JSON");
  sub->callback([options, &action] { action = [options] { return top(*options); }; });
}

}  // namespace ck::tools
