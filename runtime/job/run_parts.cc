#include "runtime/job/run_parts.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "runtime/capture/change_tracker.h"
#include "runtime/capture/checkpoint.h"
#include "runtime/capture/frozen_job.h"
#include "runtime/job/job_state.h"
#include "runtime/job/stale_areas.h"
#include "runtime/job/supervisor.h"
#include "runtime/job/suspension.h"
#include "runtime/proc/maps.h"
#include "runtime/proc/proc_file.h"
#include "runtime/resources/terminals.h"

namespace ck::job {

namespace {

Result<ControlArea> make_area_in(const std::string& folder, const std::string& agent,
                                 unsigned slots, unsigned reserved, int request_signal) {
  ControlArea area = CK_TRY(ControlArea::create(folder, agent, slots, request_signal));
  CK_TRY(area.reserve(reserved));
  return area;
}

}  // namespace

Result<ControlArea> make_area(const JobDir& job, const std::string& agent, unsigned slots,
                              unsigned reserved, int request_signal) {
  const char* runtime_folder = std::getenv("XDG_RUNTIME_DIR");
  // Memory-backed places first: nothing of the area needs to reach a disk.
  for (std::string folder :
       {std::string("/dev/shm"), std::string(runtime_folder == nullptr ? "" : runtime_folder)}) {
    if (folder.empty() || access(folder.c_str(), W_OK | X_OK) != 0) continue;
    remove_stale_areas(folder);
    Result<ControlArea> area = make_area_in(folder, agent, slots, reserved, request_signal);
    if (area.ok()) return area;
  }
  return make_area_in(job.path(), agent, slots, reserved, request_signal);
}

std::string area_of_own_job() {
  const Result<std::vector<proc::Mapping>> mappings = proc::read_maps(RealPid(getpid()));
  if (!mappings.ok()) return {};
  for (const proc::Mapping& mapping : *mappings)
    if (mapping.shared && mapping.path.find("/ckrun-") != std::string::npos) return mapping.path;
  return {};
}

Elsewhere terminal_if_moved(const std::string& jobs_folder, const TerminalOf& terminal_of) {
  if (!terminal_of) return {};
  return [jobs_folder, terminal_of](const std::string& name, int status) {
    std::unique_ptr<JobTerminal> none;
    const Result<JobDir> job = JobDir::find(jobs_folder, name);
    if (!job.ok()) return none;
    const Result<JobState> state = job_state(*job);
    if (!state.ok() || !state->incarnation || state->finished || state->incarnation->ended)
      return none;
    const Incarnation& last = *state->incarnation;
    if (last.is_move()) return terminal_of(job->info(), {last.host.name, true}, status);
    const bool runs_again = state->kind == JobState::Kind::kRunning;
    return terminal_of(job->info(), {"", runs_again}, status);
  };
}

int status_if_moved(const JobDir& job, const OnMoved& on_moved, int status) {
  if (!on_moved) return status;
  const Result<std::optional<Incarnation>> last = job.incarnation();
  if (!last.ok() || !last->has_value()) return status;
  if ((*last)->is_move()) return on_moved(job.info(), (*last)->host.name, status);
  // It was given back before this process looked.
  const bool again = (*last)->supervisor != RealPid(getpid()) &&
                     status == job.info().settings.stop_exit && !(*last)->ended;
  return again ? on_moved(job.info(), {}, status) : status;
}

Status refuse_in_a_job() {
  if (area_of_own_job().empty()) return {};
  return make_error(ErrorKind::kRefused,
                    "this is typed inside of a job, and what runs there belongs to that job",
                    "start it from outside");
}

Result<UniqueFd> open_own_control_socket() {
  return open_control_socket(socket_name(CK_TRY(this_host()).pid_namespace, RealPid(getpid())));
}

Status become_subreaper() {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0) return sys_error("become a child subreaper");
  return {};
}

namespace {

std::string terminal_type(RealPid process) {
  constexpr std::string_view kName = "TERM=";
  const Result<std::string> text = proc::read_proc(process, "environ");
  if (!text.ok()) return {};
  const std::string all = '\0' + *text;
  const std::size_t found = all.find('\0' + std::string(kName));
  return found == all.npos ? std::string() : std::string(all.c_str() + found + 1 + kName.size());
}

}  // namespace

Result<int> run_supervisor(const char* tool, const JobDir& job, Ownership& ownership,
                           process::RootProcess& root, UniqueFd control_socket, ControlArea& area,
                           const Settings& settings, std::optional<int> root_status,
                           const KeeperLink* terminal, SharedTerminal* shared) {
  JobHead head;
  if (root_status) head.root_status = *root_status;
  std::optional<resources::OwnTerminal> own;
  if (terminal != nullptr) {
    own.emplace();
    own->master.reset(fcntl(terminal->master(), F_DUPFD_CLOEXEC, 0));
  }
  capture::ChangeTracker tracker;
  const ino_t area_file = CK_TRY(area.inode());
  Suspension suspension(job, ownership.incarnation(), [&head, area_file] {
    return capture::job_members(RealPid(head.pid), area_file);
  });
  CheckpointFunction take =
      [&head, &area, &own, &tracker,
       terminal](const capture::CheckpointOptions& options) -> Result<capture::CheckpointReport> {
    capture::CheckpointOptions with_status = options;
    with_status.job.set_terminal_type(terminal_type(RealPid(head.pid)));
    if (const int status = head.root_status; status >= 0) with_status.job.set_root_status(status);
    with_status.tracker = &tracker;
    if (!own) return capture::checkpoint(RealPid(head.pid), area, with_status);
    own->peek_input = [terminal, stop = options.stop] { return terminal->peek_input(stop); };
    with_status.own_terminal = &*own;
    Result<capture::CheckpointReport> report =
        capture::checkpoint(RealPid(head.pid), area, with_status);
    if (options.stop && !(report.ok() && report->ended)) terminal->thaw();
    return report;
  };
  CheckpointFunction checkpoint = [&suspension, take](const capture::CheckpointOptions& options) {
    capture::CheckpointOptions awake = options;
    awake.job.set_suspended(suspension.by() == SuspendedBy::kUser);
    awake.on_thawed = [&suspension](const auto& copies) { suspension.stop_again(copies); };
    suspension.wake();
    Result<capture::CheckpointReport> report = take(awake);
    if (!(report.ok() && report->ended)) suspension.stop_again();
    return report;
  };
  auto find_orphan = [reaper = root.reaper(), area_file](const std::set<pid_t>& others) {
    const auto members = capture::members_below(reaper, area_file);
    if (!members.ok()) return RealPid();
    for (RealPid member : *members)
      if (!others.contains(member.value)) return member;
    return RealPid();
  };
  Supervisor supervisor({tool, job, ownership, root, std::move(control_socket), area.header(),
                         std::move(checkpoint), settings, head, suspension, std::move(find_orphan),
                         terminal, shared});
  return supervisor.run();
}

Result<int> supervise(const char* tool, const JobDir& job, Ownership& ownership,
                      process::RootProcess& root, UniqueFd control_socket, ControlArea& area,
                      const Settings& settings, std::optional<int> root_status,
                      const KeeperLink* terminal, SharedTerminal* shared) {
  Result<int> status = run_supervisor(tool, job, ownership, root, std::move(control_socket), area,
                                      settings, root_status, terminal, shared);
  if (!status.ok()) {
    kill(root.pid().value, SIGKILL);
    (void)root.take_exit_status();
    (void)ownership.end();
  }
  return status;
}

}  // namespace ck::job
