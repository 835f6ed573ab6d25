#include "tools/by_ckd.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstring>

#include "driver/migrate/start_wire.h"
#include "driver/protocol/frame.h"
#include "driver/terminal/terminal_server.h"
#include "driver/terminal/window.h"
#include "runtime/base/log.h"

namespace ck::tools {
namespace {

using protocol::wire::Started;
using protocol::wire::UserTerminal;

void send(int socket, const Started& started) {
  const std::string packet = started.SerializeAsString();
  (void)::send(socket, packet.data(), packet.size(), MSG_NOSIGNAL);
}

Result<UserTerminal> receive_terminal(int socket) {
  std::string packet(driver::migrate::kLongestReport, '\0');
  const ssize_t count = ::recv(socket, packet.data(), packet.size(), 0);
  if (count < 0) return sys_error("hear what ckd wants");
  packet.resize(static_cast<std::size_t>(count));
  UserTerminal terminal;
  if (!terminal.ParseFromString(packet))
    return make_error(ErrorKind::kRefused, "ckd and ckrun are of different versions");
  return terminal;
}

// What it says from now on is for whoever looks into the job's folder.
void write_to_log(const job::JobDir& job) {
  const std::string path = job.file("ckrun.log");
  const UniqueFd file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return;
  ::dup2(file.get(), STDOUT_FILENO);
  ::dup2(file.get(), STDERR_FILENO);
}

}  // namespace

Result<ByCkd> ByCkd::take() {
  for (int fd : {driver::migrate::kReportFd, driver::migrate::kListensFd})
    if (::fcntl(fd, F_SETFD, FD_CLOEXEC) != 0)
      return make_error(ErrorKind::kUsage, "--by-ckd is for ckd, which starts ckrun with it",
                        "ckrun --on HOST");
  return ByCkd(UniqueFd(driver::migrate::kReportFd), UniqueFd(driver::migrate::kListensFd));
}

void ByCkd::fill(job::StartRequest& request) {
  job::RemoteStart& remote = request.remote.emplace();
  remote.report_fd = report_.get();
  const Result<UserTerminal> terminal = receive_terminal(report_.get());
  if (terminal.ok()) {
    if (terminal->modes().size() == sizeof(terminal::Modes))
      std::memcpy(&remote.modes.emplace(), terminal->modes().data(), sizeof(terminal::Modes));
    if (terminal->rows() != 0 && terminal->columns() != 0)
      remote.window = driver::terminal::from_wire(*terminal);
  }
  remote.on_started = [this](const job::JobDir& job, RealPid keeper) { started(job, keeper); };
  remote.serve_terminal = [this, folder = request.jobs_folder](UniqueFd connection,
                                                               RealPid keeper) {
    return serve(std::move(connection), keeper, folder);
  };
}

void ByCkd::started(const job::JobDir& job, RealPid keeper) {
  write_to_log(job);
  Started started;
  started.set_job(job.info().id);
  started.set_name(job.info().name);
  started.set_server(static_cast<std::uint64_t>(keeper.value));
  send(report_.get(), started);
  report_.reset();
  listens_.reset();
}

void ByCkd::fail(const Error& error, int exit_status) {
  if (!report_) return;
  Started started;
  *started.mutable_failure() = protocol::refusal_of(error);
  started.set_exit_status(exit_status);
  send(report_.get(), started);
  report_.reset();
}

Result<job::ClientOutcome> ByCkd::serve(UniqueFd connection, RealPid keeper,
                                        const std::string& folder) {
  (void)report_.release();  // closed in this process already
  return driver::terminal::serve_terminal({std::move(connection), keeper, folder, [this] {
                                             (void)!::write(listens_.get(), "l", 1);
                                             listens_.reset();
                                           }});
}

}  // namespace ck::tools
