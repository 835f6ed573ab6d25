#include "driver/migrate/start_step.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <vector>

#include "driver/migrate/ckpt_command.h"
#include "driver/migrate/start_wire.h"
#include "driver/protocol/check.h"
#include "driver/protocol/environment.h"
#include "runtime/base/unique_fd.h"
#include "runtime/job/names.h"
#include "runtime/proc/pidfd.h"

namespace ck::driver::migrate {

using protocol::wire::RunOrder;
using protocol::wire::Started;

namespace {

constexpr off_t kLongestWord = 4096;  // of what ckrun says when it fails

struct Ends {
  UniqueFd ours, theirs;
};

Result<Ends> make_socket() {
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return sys_error("make a socket");
  return Ends{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

// The user's variables, and this host's where they belong to a host.
std::vector<std::string> environment_of(const RunOrder& order) {
  std::vector<std::string> all;
  for (const std::string& entry : order.environment())
    if (protocol::belonging_of(entry) == protocol::Belonging::kUser) all.push_back(entry);
  for (char** entry = environ; *entry != nullptr; ++entry)
    if (protocol::belonging_of(*entry) == protocol::Belonging::kThere) all.emplace_back(*entry);
  return all;
}

Status take_place(const RunOrder& order) {
  if (::chdir(order.folder().c_str()) != 0)
    return sys_error("use the working directory " + order.folder());
  ::umask(static_cast<mode_t>(order.umask()));
  return {};
}

std::vector<char*> pointers(const std::vector<std::string>& words) {
  std::vector<char*> all;
  for (const std::string& word : words) all.push_back(const_cast<char*>(word.c_str()));
  all.push_back(nullptr);
  return all;
}

struct Command {
  std::string path;
  std::vector<std::string> arguments, environment;
};

// In a forked child. `said`: takes what it says on standard output and error.
[[noreturn]] void execute(const Command& command, int said, int report, int listens) {
  ::setsid();
  const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
  int null_fd = null.get();
  // Out of the way of the numbers that they get.
  for (int* fd : {&null_fd, &said, &report, &listens}) *fd = ::fcntl(*fd, F_DUPFD_CLOEXEC, 10);
  ::dup2(null_fd, STDIN_FILENO);
  ::dup2(said, STDOUT_FILENO);
  ::dup2(said, STDERR_FILENO);
  ::dup2(report, kReportFd);
  ::dup2(listens, kListensFd);
  ::close_range(kListensFd + 1, ~0u, 0);
  ::execve(command.path.c_str(), pointers(command.arguments).data(),
           pointers(command.environment).data());
  ::_exit(127);
}

std::string last_line(int file) {
  std::string text(kLongestWord, '\0');
  struct stat info {};
  (void)::fstat(file, &info);
  const ssize_t count =
      ::pread(file, text.data(), text.size(), std::max<off_t>(info.st_size - kLongestWord, 0));
  text.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  while (text.ends_with('\n')) text.pop_back();
  return text.substr(text.rfind('\n') + 1);
}

void end(pid_t pid) {
  ::kill(pid, SIGKILL);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

// Until its terminal can be called, or the process that would see to that has ended: then another
// one is started when it is called.
void wait_until_listens(pid_t pid, int pipe) {
  const Result<proc::PidFd> process = proc::PidFd::open(RealPid(pid));
  if (!process.ok()) return;
  pollfd fds[] = {{pipe, POLLIN, 0}, {process->get(), POLLIN, 0}};
  while (::poll(fds, 2, -1) < 0 && errno == EINTR) {
  }
}

Result<Started> receive_report(int socket) {
  std::string packet(kLongestReport, '\0');
  ssize_t count = 0;
  do {
    count = ::recv(socket, packet.data(), packet.size(), 0);
  } while (count < 0 && errno == EINTR);
  if (count < 0) return sys_error("hear of ckrun");
  packet.resize(static_cast<std::size_t>(count));
  Started started;
  if (packet.empty() || !started.ParseFromString(packet))
    return make_error(ErrorKind::kSystem, "ckrun started nothing");
  CK_TRY(protocol::check(started));
  return started;
}

}  // namespace

Result<Started> start_program(const std::string& jobs_folder, const RunOrder& order) {
  Command command;
  command.path = CK_TRY(installed("ckrun"));
  const std::string folder = CK_TRY(job::jobs_folder(jobs_folder));
  command.arguments = {"ckrun", "--by-ckd", "--dir", folder};
  command.arguments.insert(command.arguments.end(), order.arguments().begin(),
                           order.arguments().end());
  command.environment = environment_of(order);
  const UniqueFd said(::memfd_create("ckrun", MFD_CLOEXEC));
  if (!said) return sys_error("make a file in memory");
  Ends report = CK_TRY(make_socket());
  Pipe listens = CK_TRY(make_pipe());
  CK_TRY(take_place(order));
  const pid_t pid = ::fork();
  if (pid < 0) return sys_error("start ckrun");
  if (pid == 0) execute(command, said.get(), report.theirs.get(), listens.writing.get());
  report.theirs.reset();
  listens.writing.reset();
  const std::string terminal = order.terminal().SerializeAsString();
  (void)::send(report.ours.get(), terminal.data(), terminal.size(), MSG_NOSIGNAL);
  Result<Started> started = receive_report(report.ours.get());
  if (started.ok() && !started->has_failure()) {
    wait_until_listens(pid, listens.reading.get());
    return started;
  }
  end(pid);
  const std::string words = last_line(said.get());
  if (started.ok() || words.empty()) return started;
  return make_error(ErrorKind::kSystem, "ckrun started nothing: " + words);
}

}  // namespace ck::driver::migrate
