// The namespace way: user, pid, mount and time namespaces of the job's own, entered without
// privilege. Inside, an init process (pid 1) collects orphans, and a stand-in has the pid that the
// job's supervisor had, so that the program's parent is who it was. Both do nothing but wait.
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <thread>

#include "runtime/base/log.h"
#include "runtime/proc/pass_descriptor.h"
#include "runtime/proc/proc_file.h"
#include "runtime/proc/status.h"
#include "runtime/proc/tasks.h"
#include "runtime/restore/spawn_child.h"

namespace ck::restore {

namespace {

// What init and the stand-in tell the supervisor when they cannot go on.
enum class Step : int {
  kTimeNamespace = 1,
  kMounts,
  kProc,
  kTerminals,
  kTerminal,
  kSession,
  kGroup,
  kStandIn,
  kRoot
};

const char* describe(Step step) {
  switch (step) {
    case Step::kTimeNamespace:
      return "set the clocks of a time namespace";
    case Step::kMounts:
      return "make mounts private";
    case Step::kProc:
      return "mount /proc for the job's pid namespace";
    case Step::kTerminals:
      return "mount /dev/pts for the job's own pseudo-terminals";
    case Step::kTerminal:
      return "make the job's terminal";
    case Step::kSession:
      return "make the job's session";
    case Step::kGroup:
      return "make the job's process group";
    case Step::kStandIn:
      return "start the stand-in for the supervisor";
    case Step::kRoot:
      return "start the job's process with its pid";
  }
  return "enter namespaces";
}

struct Message {
  enum Kind : int { kFailed = 1, kEnded = 2, kStopped = 3 } kind;
  int step;
  int value;  // errno, or the wait status of the job's process, or the signal that stopped it
};

struct InitPlan {
  int go = -1;      // socket: 'g' once the id maps are written, 'c' at the commit; else end of file
  int report = -1;  // write end of Messages
  pid_t stand_in = 0;  // 0: init itself is the parent
  pid_t root = 0;
  pid_t session = 0;  // 0: that of the restart, and its process group too
  pid_t group = 0;
  bool own_terminals = false;  // /dev/pts of its own, where all numbers are free
  int terminal = -1;           // of the terminal that ckrun makes for the job; -1: none
  winsize terminal_window{};   // set before the job is there to be told of it
  pid_t terminal_session = 0;  // that it controls
  int terminal_channel = -1;   // socket on which its master is sent
  char offsets[256] = {};
  ChildPlan child;
};

void report(const InitPlan& plan, Message::Kind kind, Step step, int value) {
  const Message message{kind, static_cast<int>(step), value};
  (void)!::write(plan.report, &message, sizeof message);
}

[[noreturn]] void fail(const InitPlan& plan, Step step) {
  report(plan, Message::kFailed, step, errno);
  ::_exit(248);
}

void keep_only(std::initializer_list<int> wanted) {
  unsigned from = 0;
  for (int fd : wanted) {  // ascending
    if (static_cast<unsigned>(fd) > from) ::syscall(SYS_close_range, from, fd - 1, 0);
    from = static_cast<unsigned>(fd) + 1;
  }
  ::syscall(SYS_close_range, from, ~0u, 0);
}

// Collects children until `awaited` ends (0: until there is none left); its wait status.
int wait_for(pid_t awaited) {
  for (;;) {
    int status = 0;
    const pid_t pid = static_cast<pid_t>(::syscall(SYS_wait4, -1, &status, __WALL, nullptr));
    if (pid == awaited) return status;
    if (pid < 0 && errno == ECHILD) return -1;
  }
}

// The same for the job's process, of whose stops the supervisor hears.
int wait_for_root(const InitPlan& plan, pid_t root) {
  for (;;) {
    int status = 0;
    const auto pid =
        static_cast<pid_t>(::syscall(SYS_wait4, -1, &status, __WALL | WUNTRACED, nullptr));
    if (pid == root && WIFSTOPPED(status))
      report(plan, Message::kStopped, Step::kRoot, WSTOPSIG(status));
    else if (pid == root)
      return status;
    else if (pid < 0 && errno == ECHILD)
      return -1;
  }
}

// A process group whose leader is none of the job's: a process of that id makes it and ends; the
// group lives on with its members.
void join_group(const InitPlan& plan) {
  const pid_t maker = clone_with_id(0, plan.group);
  if (maker < 0) fail(plan, Step::kGroup);
  if (maker == 0) {
    ::setpgid(0, 0);
    ::raise(SIGSTOP);
    ::_exit(0);
  }
  ::setpgid(maker, maker);
  if (::setpgid(0, maker) != 0) fail(plan, Step::kGroup);
  ::kill(maker, SIGKILL);
  wait_for(maker);
}

// The kernel gives the lowest number that is free: those below are taken meanwhile.
int open_master(unsigned number) {
  for (;;) {
    const int master = ::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    unsigned got = 0;
    if (master < 0 || ::ioctl(master, TIOCGPTN, &got) != 0 || got > number) return -1;
    if (got == number) return master;
  }
}

void send_descriptor(int socket, int fd) {
  char byte = 't';
  iovec bytes{&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof fd)] = {};
  msghdr message{};
  message.msg_iov = &bytes;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof control;
  cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(sizeof fd);
  std::memcpy(CMSG_DATA(rights), &fd, sizeof fd);
  (void)::sendmsg(socket, &message, MSG_NOSIGNAL);
}

// In a process that leads the session, or whose session is not the terminal's. What this opens
// lives as long as the master that is sent.
void make_terminal(const InitPlan& plan, bool control) {
  const int master = open_master(static_cast<unsigned>(plan.terminal));
  int locked = 0;
  if (master < 0 || ::ioctl(master, TIOCSPTLCK, &locked) != 0) fail(plan, Step::kTerminal);
  const int slave = ::ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
  if (slave < 0) fail(plan, Step::kTerminal);
  ::ioctl(master, TIOCSWINSZ, &plan.terminal_window);
  if (control && ::ioctl(slave, TIOCSCTTY, 0) != 0) fail(plan, Step::kTerminal);
  send_descriptor(plan.terminal_channel, master);
  ::close(slave);
}

bool leads_terminal(const InitPlan& plan, pid_t process) {
  return plan.terminal >= 0 && plan.terminal_session == process;
}

[[noreturn]] void become_parent(const InitPlan& plan) {
  const pid_t root = clone_with_id(0, plan.root);
  if (root < 0) fail(plan, Step::kRoot);
  if (root == 0) {
    const bool own = plan.session == plan.root || plan.group == plan.root;  // set later: TreePlan
    if (!own && plan.group != 0 && plan.group != ::getpgid(0)) join_group(plan);
    become_restorer(plan.child);
  }
  keep_only({plan.report});
  report(plan, Message::kEnded, Step::kRoot, wait_for_root(plan, root));
  wait_for(0);  // other processes of the job, whose parents have ended
  ::_exit(0);
}

// Until the commit the supervisor's end is the job's end; closing the pipe says either.
void watch_supervisor(const InitPlan& plan) {
  char byte = 0;
  if (::read(plan.go, &byte, 1) != 1) ::_exit(247);
}

void set_up_namespaces(const InitPlan& plan) {
  watch_supervisor(plan);  // the id maps
  if (::unshare(CLONE_NEWTIME) != 0) fail(plan, Step::kTimeNamespace);
  const int offsets = ::open("/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC);
  const auto length = static_cast<ssize_t>(std::strlen(plan.offsets));
  if (offsets < 0 || ::write(offsets, plan.offsets, static_cast<std::size_t>(length)) != length)
    fail(plan, Step::kTimeNamespace);
  ::close(offsets);
  // Host mounts still arrive here, ours do not leave.
  if (::mount("none", "/", nullptr, MS_REC | MS_SLAVE, nullptr) != 0) fail(plan, Step::kMounts);
  if (::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) != 0)
    fail(plan, Step::kProc);
  if (plan.own_terminals && ::mount("devpts", "/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC,
                                    "newinstance,ptmxmode=0666,mode=0620") != 0)
    fail(plan, Step::kTerminals);
}

// Signals from the terminal reach the whole foreground group; these two are none of its business.
void block_signals() {
  const std::uint64_t all = ~std::uint64_t{0};
  ::syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, nullptr, sizeof all);
}

[[noreturn]] void become_stand_in(const InitPlan& plan) {
  ::prctl(PR_SET_NAME, "ckrun-parent");
  ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);  // orphans go where they went before
  ::close(plan.go);
  if (plan.session == plan.stand_in) {
    ::setsid();
    if (leads_terminal(plan, plan.stand_in)) make_terminal(plan, true);
  } else if (plan.group == plan.stand_in) {
    ::setpgid(0, 0);
  }
  become_parent(plan);
}

// In a session whose leader is none of the job's, the same way: the leader ends, and init inherits
// the stand-in. But one that has a terminal stays, for the terminal leaves a session with its
// leader. Whom init has to wait for.
pid_t start_stand_in(const InitPlan& plan) {
  const bool foreign =
      plan.session != 0 && plan.session != plan.stand_in && plan.session != plan.root;
  if (foreign) {
    const pid_t leader = clone_with_id(0, plan.session);
    if (leader < 0) fail(plan, Step::kSession);
    if (leader > 0) {
      if (leads_terminal(plan, plan.session)) return leader;
      wait_for(leader);
      return plan.stand_in;
    }
    ::setsid();
    if (leads_terminal(plan, plan.session)) make_terminal(plan, true);
  }
  const pid_t stand_in = clone_with_id(0, plan.stand_in);
  if (stand_in < 0) fail(plan, Step::kStandIn);
  if (stand_in == 0) become_stand_in(plan);
  if (foreign && leads_terminal(plan, plan.session)) {
    ::prctl(PR_SET_NAME, "ckrun-session");
    keep_only({});
    wait_for(stand_in);
  }
  if (foreign) ::_exit(0);
  return stand_in;
}

[[noreturn]] void run_init(const InitPlan& plan) {
  block_signals();
  ::prctl(PR_SET_NAME, "ckrun-init");
  set_up_namespaces(plan);
  const bool led = leads_terminal(plan, plan.stand_in) || leads_terminal(plan, plan.session);
  if (plan.terminal >= 0 && (!led || plan.stand_in == 0)) make_terminal(plan, false);
  if (plan.stand_in == 0) become_parent(plan);
  const pid_t stand_in = start_stand_in(plan);
  keep_only({std::min(plan.go, plan.report), std::max(plan.go, plan.report)});
  watch_supervisor(plan);  // the commit; the end of this process ends the namespace
  ::close(plan.go);
  ::close(plan.report);
  wait_for(stand_in);
  ::_exit(0);
}

// The job's process, of whose end its parent in the namespace tells.
class NamespacedProcess : public process::RootProcess {
 public:
  NamespacedProcess(RealPid pid, RealPid parent, pid_t init, UniqueFd report)
      : pid_(pid), parent_(parent), init_(init), report_(std::move(report)) {}
  ~NamespacedProcess() override { end_namespace(); }
  RealPid pid() const override { return pid_; }
  int exit_fd() const override { return report_.get(); }
  RealPid reaper() const override { return parent_; }
  Result<int> take_exit_status() override {
    while (take_stop()) {
    }
    const bool told = last_.kind == Message::kEnded && last_.value >= 0;
    return told ? last_.value : SIGKILL;  // nobody was left to tell
  }
  std::optional<int> take_stop() override {
    if (last_.kind == Message::kEnded) return std::nullopt;
    Message message{};
    if (::read(report_.get(), &message, sizeof message) == sizeof message)
      last_ = message;
    else
      last_ = {Message::kEnded, 0, -1};
    return last_.kind == Message::kStopped ? std::optional(last_.value) : std::nullopt;
  }

 private:
  void end_namespace() {
    if (init_ <= 0) return;
    ::kill(init_, SIGKILL);
    ::waitpid(init_, nullptr, __WALL | __WNOTHREAD);
    init_ = 0;
  }
  RealPid pid_;
  RealPid parent_;
  pid_t init_;
  UniqueFd report_;
  Message last_{};
};

struct SpawnedInNamespace : Spawned {
  UniqueFd go;
  Status commit() override {
    // Where init itself is the parent, it no longer listens.
    if (::send(go.get(), "c", 1, MSG_NOSIGNAL) != 1 && errno != EPIPE)
      return sys_error("release the job's init process");
    return {};
  }
};

// user_namespaces(7): an ordinary user may map only itself, and must give up setgroups(2) for it.
Status write_id_maps(pid_t init) {
  const RealPid pid(init);
  if (::geteuid() == 0) {
    CK_TRY(proc::write_proc(pid, "uid_map", "0 0 4294967295"));
    return proc::write_proc(pid, "gid_map", "0 0 4294967295");
  }
  const std::string uid = std::to_string(::geteuid());
  const std::string gid = std::to_string(::getegid());
  CK_TRY(proc::write_proc(pid, "setgroups", "deny"));
  CK_TRY(proc::write_proc(pid, "uid_map", uid + " " + uid + " 1"));
  return proc::write_proc(pid, "gid_map", gid + " " + gid + " 1");
}

Error failure(const Message& message) {
  Error error = sys_error(describe(static_cast<Step>(message.step)), message.value);
  error.kind = ErrorKind::kRefused;
  return std::move(error).with_hint("this host limits user namespaces; see --pids in ckpt(1)");
}

struct FoundRoot {
  RealPid pid, parent;
};

// Waits until the job's process is there, or somebody reports why it is not.
Result<FoundRoot> await_root(const InitPlan& plan, pid_t init, int report_fd) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < deadline) {
    pollfd ready{report_fd, POLLIN, 0};
    if (::poll(&ready, 1, 1) > 0) {
      Message message{};
      if (::read(report_fd, &message, sizeof message) == sizeof message &&
          message.kind == Message::kFailed)
        return failure(message);
      return make_error(ErrorKind::kTryAgain, "the job's init process ended at once");
    }
    RealPid parent(init);
    if (plan.stand_in != 0 && plan.session != plan.stand_in && leads_terminal(plan, plan.session))
      parent = proc::find_child(parent, plan.session);
    if (parent && plan.stand_in != 0) parent = proc::find_child(parent, plan.stand_in);
    if (!parent) continue;
    // Killed before it could report anything; init collects it only after the commit.
    if (const auto status = proc::read_status(parent); status.ok() && status->state == 'Z')
      return make_error(ErrorKind::kTryAgain,
                        "the parent of the job's process was killed during the restart");
    const RealPid root = proc::find_child(parent, plan.root);
    if (root) return FoundRoot{root, parent};
  }
  return make_error(ErrorKind::kTryAgain, "the job's process did not start within 30 seconds");
}

}  // namespace

Result<std::unique_ptr<Spawned>> spawn_in_namespace(const image::Manifest& manifest,
                                                    const image::ClockRecord& clocks,
                                                    const ControlArea& area,
                                                    const std::string& restorer, unsigned slot) {
  auto spawned = std::make_unique<SpawnedInNamespace>();
  UniqueFd program(::open(restorer.c_str(), O_RDONLY | O_CLOEXEC));
  if (!program) return sys_error("open restorer " + restorer);
  int channel[2], go[2], report_pipe[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, channel) != 0)
    return sys_error("socketpair");
  spawned->channel.reset(channel[0]);
  UniqueFd theirs(channel[1]);
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, go) != 0) return sys_error("socketpair");
  UniqueFd go_reader(go[0]);
  spawned->go.reset(go[1]);
  if (::pipe2(report_pipe, O_CLOEXEC) != 0) return sys_error("pipe");
  UniqueFd report_reader(report_pipe[0]);
  UniqueFd report_writer(report_pipe[1]);

  const image::ProcessRecord& process = manifest.processes(0);
  InitPlan plan;
  plan.child = CK_TRY(plan_child(manifest, area, program.get(), theirs.get(), slot));
  plan.child.keep_capabilities = ::geteuid() != 0;
  plan.go = go_reader.get();
  plan.report = report_writer.get();
  plan.root = process.pid();
  plan.stand_in = process.ppid() > 1 && process.ppid() != process.pid() ? process.ppid() : 0;
  if (plan.root <= 1)
    return make_error(ErrorKind::kRefused, "the job's process was pid 1 of its namespace");
  // A session of its own would take the restart's terminal away from the job.
  spawned->group_of_restart = joins_group(manifest);
  if (!joins_session(manifest)) {
    plan.session = process.sid();
    plan.group = process.pgid();
  }
  plan.own_terminals = std::any_of(
      manifest.terminals().begin(), manifest.terminals().end(),
      [](const auto& record) { return record.place() != image::TerminalRecord::OUTSIDE; });
  if (const image::TerminalRecord* terminal = own_terminal(manifest)) {
    plan.terminal = static_cast<int>(terminal->number());
    plan.terminal_session = terminal->session();
    std::memcpy(&plan.terminal_window, terminal->window().data(), sizeof plan.terminal_window);
    plan.terminal_channel = theirs.get();
  }
  std::strncpy(plan.offsets, time_offsets(clocks).c_str(), sizeof plan.offsets - 1);
  spawned->helpers = plan.child.helpers;
  spawned->own_time_namespace = true;

  const pid_t init =
      clone_with_id(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNS | clone_flags(plan.child), 0);
  if (init < 0) {
    Error error = sys_error("make a user namespace");
    error.kind = ErrorKind::kRefused;
    return std::move(error).with_hint("this host forbids user namespaces to ordinary users");
  }
  if (init == 0) {
    ::close(spawned->go.get());
    run_init(plan);
  }
  go_reader.reset();
  report_writer.reset();
  Status mapped = write_id_maps(init);
  if (mapped.ok() && ::send(spawned->go.get(), "g", 1, MSG_NOSIGNAL) != 1)
    mapped = sys_error("start the job's init process");
  // Its files belong to root once it ends: that is not what this host forbids.
  if (!mapped.ok() && proc::is_ending(RealPid(init)))
    mapped = make_error(ErrorKind::kTryAgain, "the job's init process ended at once");
  Result<FoundRoot> root = FoundRoot{};
  if (mapped.ok()) root = await_root(plan, init, report_reader.get());
  const FoundRoot found = root.ok() ? *root : FoundRoot{};
  spawned->root =
      std::make_unique<NamespacedProcess>(found.pid, found.parent, init, std::move(report_reader));
  CK_TRY(std::move(mapped));
  CK_TRY(std::move(root));
  if (plan.terminal >= 0)
    spawned->own_terminal = CK_TRY(proc::receive_descriptor(spawned->channel.get()));
  return std::unique_ptr<Spawned>(std::move(spawned));
}

}  // namespace ck::restore
