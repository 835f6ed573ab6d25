#include "tools/follow.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <thread>

#include "driver/client/client.h"
#include "driver/client/daemon_caller.h"
#include "driver/terminal/remote_terminal.h"

namespace ck::tools {
namespace {

namespace wire = protocol::wire;

// ckd says every second or so where the job is.
constexpr std::chrono::milliseconds kPatience{60000};
constexpr std::chrono::milliseconds kForList{5000};
constexpr std::chrono::seconds kPause{2};
constexpr std::chrono::minutes kWithoutDaemon{10};  // it may be restarted meanwhile

void take_signals_again() {
  for (int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT}) ::signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

Result<wire::ControlReply> ask(const std::string& job_id, std::string& host) {
  wire::ControlRequest request;
  request.mutable_follow()->set_job(job_id);
  request.mutable_follow()->set_host(host);
  return client::ask_daemon(std::move(request), kPatience,
                            [&host](const wire::MigrateProgress& progress) {
                              if (progress.what().starts_with("on "))
                                host = progress.what().substr(3);
                            });
}

// Not to a file: it is the job's, too, which goes on there, or has left it here as it was.
void say(const char* tool, const std::string& text) {
  struct stat status {};
  if (::fstat(STDERR_FILENO, &status) == 0 && S_ISREG(status.st_mode)) return;
  std::fprintf(stderr, "%s: %s\n", tool, text.c_str());
}

}  // namespace

int follow_moved(const char* tool, const std::string& job_id, const std::string& name,
                 const std::string& first_host, int otherwise) {
  std::string host = first_host;
  say(tool, "job " + name + " runs " + (host.empty() ? "here again" : "on host " + host + " now"));
  take_signals_again();
  auto give_up = std::chrono::steady_clock::now() + kWithoutDaemon;
  for (bool first = true;; first = false) {
    const std::string before = host;
    const Result<wire::ControlReply> reply = ask(job_id, host);
    if (reply.ok()) {
      if (reply->follow().known()) return reply->follow().exit_status();
      say(tool,
          "job " + name + " has ended on host " + reply->follow().host() + ", nobody knows how");
      return otherwise;
    }
    // Whoever moved it did so without a ckd.
    if (first && reply.error().kind == ErrorKind::kNotFound) return otherwise;
    const auto now = std::chrono::steady_clock::now();
    if (host != before) give_up = now + kWithoutDaemon;
    if (now >= give_up) {
      say(tool, "job " + name + " cannot be followed: " + reply.error().text());
      return otherwise;
    }
    std::this_thread::sleep_for(kPause);
  }
}

namespace {

Result<std::unique_ptr<driver::terminal::RemoteTerminal>> remote_terminal(const job::JobInfo& job,
                                                                          const std::string& host,
                                                                          int otherwise,
                                                                          bool moves) {
  driver::terminal::RemotePlan plan;
  plan.place = {job.id, host, 0};
  plan.name = job.name;
  plan.otherwise = otherwise;
  plan.moves = moves;
  return driver::terminal::RemoteTerminal::make(std::move(plan), client::make_daemon_caller());
}

}  // namespace

namespace {

bool is_handed_over(const std::string& job_id) {
  wire::ControlRequest request;
  request.mutable_handovers();
  const Result<wire::ControlReply> reply = client::ask_daemon(std::move(request), kForList);
  return reply.ok() &&
         std::any_of(reply->handovers().rows().begin(), reply->handovers().rows().end(),
                     [&](const auto& row) { return row.job() == job_id; });
}

}  // namespace

std::unique_ptr<job::JobTerminal> terminal_elsewhere(const job::JobInfo& job,
                                                     const job::TerminalPlace& place,
                                                     int otherwise) {
  if (!place.certain && !is_handed_over(job.id)) return nullptr;
  auto terminal = remote_terminal(job, place.host, otherwise, true);
  return terminal.ok() ? *std::move(terminal) : nullptr;
}

Result<int> attach_elsewhere(const job::JobInfo& job, const std::string& host, job::Redraw how) {
  job::ClientOptions options;
  options.tool = "ckpt";
  options.job = CK_TRY(remote_terminal(job, host, 1, false));
  options.redraw = true;
  options.how = how;
  return CK_TRY(run_terminal_client(std::move(options))).status;
}

}  // namespace ck::tools
