#include <fcntl.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/capture/apart.h"
#include "runtime/job/installation.h"
#include "runtime/job/own_terminal.h"
#include "runtime/job/remove_job.h"
#include "runtime/job/run_job.h"
#include "runtime/job/run_parts.h"
#include "runtime/job/signals.h"
#include "runtime/terminal/pty.h"

namespace ck::job {
namespace {

std::vector<std::string> own_environment() {
  std::vector<std::string> result;
  for (char** entry = environ; entry != nullptr && *entry != nullptr; ++entry) {
    result.emplace_back(*entry);
  }
  return result;
}

Result<int> start_in(const JobDir& job, Ownership& ownership, const Installation& installation,
                     process::LaunchOptions options, unsigned max_threads, UniqueFd control_socket,
                     const KeeperLink* terminal, const std::function<void()>& on_launched) {
  const Settings& settings = job.info().settings;
  // A program of one process and one thread can be checkpointed, however full the folder gets.
  ControlArea area = CK_TRY(make_area(job, installation.agent, max_threads + kSpareSlots,
                                      1 + kSpareSlots, settings.request_signal));
  CK_TRY(capture::note_namespaces(area, RealPid(getpid())));
  CK_TRY(become_subreaper());
  std::optional<SharedTerminal> shared;
  if (terminal == nullptr) shared.emplace();
  UniqueFd slave;
  if (terminal != nullptr) {
    slave = CK_TRY(terminal::open_slave(terminal->master(), O_RDWR));
    options.terminal = slave.get();
  }
  std::unique_ptr<process::RootProcess> root = CK_TRY(process::launch(options, area));
  slave.reset();
  Status recorded = ownership.record_root(root->pid(), area.path(),
                                          terminal == nullptr ? RealPid() : terminal->keeper());
  if (!recorded.ok()) spdlog::warn("{}", recorded.error().text());
  on_launched();
  return supervise("ckrun", job, ownership, *root, std::move(control_socket), area, settings, {},
                   terminal, shared ? &*shared : nullptr);
}

// `keeper`: of the job's own terminal, or none.
Result<int> start(const StartRequest& request, RealPid keeper) {
  process::LaunchOptions options;
  options.signals = process::SignalState::current();
  options.command = request.command;
  options.environment = own_environment();
  Installation installation = CK_TRY(find_installation());
  CK_TRY(block_supervised_signals());

  JobInfo info;
  info.name = request.name;
  info.command = request.command;
  info.settings = request.settings;
  UniqueFd control_socket = CK_TRY(open_own_control_socket());
  JobDir job = CK_TRY(JobDir::create(request.jobs_folder, std::move(info)));
  Ownership ownership = CK_TRY(Ownership::acquire(job));
  std::optional<KeeperLink> terminal;
  if (keeper) terminal = CK_TRY(KeeperLink::connect(keeper, job.info().name));
  bool launched = false;
  const auto on_launched = [&] {
    launched = true;
    if (request.remote) request.remote->on_started(job, keeper);
  };
  Result<int> status =
      start_in(job, ownership, installation, std::move(options), request.max_threads,
               std::move(control_socket), terminal ? &*terminal : nullptr, on_launched);
  // A job whose program never ran leaves nothing behind.
  if (!launched) (void)remove_job_folder(job);
  if (status.ok() && !keeper) return status_if_moved(job, request.on_moved, *status);
  return status;
}

Result<int> start_for_another_host(const StartRequest& request) {
  OwnTerminalPlan plan;
  plan.tool = "ckrun";
  plan.modes = request.remote->modes;
  plan.window = request.remote->window;
  plan.for_supervisor = request.remote->report_fd;
  plan.serve = request.remote->serve_terminal;
  return on_own_terminal(plan, [&](RealPid keeper) { return start(request, keeper); });
}

}  // namespace

Result<int> start_job(const StartRequest& request) {
  CK_TRY(refuse_in_a_job());
  if (request.remote) return start_for_another_host(request);
  const bool has_terminal = isatty(STDIN_FILENO) != 0 && isatty(STDOUT_FILENO) != 0;
  if (!request.own_terminal.value_or(has_terminal)) return start(request, RealPid());
  OwnTerminalPlan plan;
  plan.tool = "ckrun";
  plan.end_of_input = true;
  plan.elsewhere = terminal_if_moved(request.jobs_folder, request.terminal_of);
  return on_own_terminal(plan, [&](RealPid keeper) { return start(request, keeper); });
}

}  // namespace ck::job
