#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "runtime/base/log.h"
#include "runtime/image/generations.h"
#include "runtime/job/image_target.h"
#include "runtime/job/installation.h"
#include "runtime/job/interrupt_guard.h"
#include "runtime/job/names.h"
#include "runtime/job/own_terminal.h"
#include "runtime/job/remove_job.h"
#include "runtime/job/run_job.h"
#include "runtime/job/run_parts.h"
#include "runtime/job/signals.h"

namespace ck::job {
namespace {

void tell(const std::string& line) {
  std::fprintf(stderr, "ckpt: %s\n", line.c_str());
}

Settings with_changes(Settings settings, const RestartRequest& request) {
  settings.interval = request.interval.value_or(settings.interval);
  settings.timeout = request.timeout.value_or(settings.timeout);
  settings.keep = request.keep.value_or(settings.keep);
  settings.request_signal = request.request_signal.value_or(settings.request_signal);
  settings.compression = request.compression.value_or(settings.compression);
  settings.tcp = request.tcp.value_or(settings.tcp);
  settings.stop_exit = request.stop_exit.value_or(settings.stop_exit);
  return settings;
}

// The recorded status, if the job has finished and is not to run again.
Result<std::optional<int>> finished_status(const JobDir& job, const RestartRequest& request) {
  if (request.force || !request.as.empty()) return std::optional<int>();
  std::optional<Finished> finished = CK_TRY(job.finished());
  if (!finished) return std::optional<int>();
  std::string what = "job " + job.info().name + " has finished, with " + status_text(*finished);
  if (!finished->known) return make_error(ErrorKind::kRefused, what, "--force runs it again");
  tell(what + "; nothing was restarted");
  return std::optional(finished->exit_status);
}

// A clone owns its first image, so that it can be restarted before it has been checkpointed. Where
// the file system cannot share the file, the clone has none until then.
void adopt_image(const JobDir& clone, const image::Reader& reader) {
  std::string own = clone.file(image::generation_name(1).c_str());
  if (linkat(AT_FDCWD, reader.path().c_str(), AT_FDCWD, own.c_str(), AT_SYMLINK_FOLLOW) != 0) {
    tell("job " + clone.info().name + " cannot be restarted before its first checkpoint: " +
         sys_error("link " + reader.path() + " to " + own).message);
  }
}

Result<JobDir> make_clone(const std::optional<JobDir>& original, const image::Reader& reader,
                          const RestartRequest& request) {
  JobInfo info = original ? original->info() : job_info_of(reader.manifest());
  info.cloned_from = std::exchange(info.id, "");
  info.name = request.as;
  info.settings = with_changes(info.settings, request);
  JobDir clone = CK_TRY(JobDir::create(request.jobs_folder, std::move(info)));
  adopt_image(clone, reader);
  return clone;
}

// An image that was copied from elsewhere: its job, if that is known here, else a folder for it.
Result<JobDir> job_of_foreign_image(const image::Reader& reader, const RestartRequest& request) {
  JobInfo info = job_info_of(reader.manifest());
  Result<JobDir> known = JobDir::find(request.jobs_folder, info.id);
  if (known.ok() && known->info().id == info.id) return known;
  CK_TRY(check_name(info.name));
  CK_TRY(check_name(info.id));
  Result<JobDir> made = JobDir::create(request.jobs_folder, std::move(info));
  if (made.ok()) adopt_image(*made, reader);
  return made;
}

// The agent maps the area where it was before, so the size must be the same.
Result<ControlArea> area_for(const JobDir& job, const std::string& agent,
                             const image::Manifest& manifest, int request_signal) {
  unsigned slots = manifest.processes().empty()
                       ? 0
                       : ControlArea::slots_of_size(manifest.processes(0).agent().area_size());
  if (slots == 0) {
    return make_error(ErrorKind::kBadImage, "the image records a control area of no possible size");
  }
  return make_area(job, agent, slots, request_signal);
}

Result<restore::Restarted> restore_from(const image::Reader& reader, ControlArea& area,
                                        const Installation& installation, Ownership& ownership,
                                        const RestartRequest& request, const KeeperLink* terminal) {
  auto guard = CK_TRY(InterruptGuard::start([&ownership] { (void)ownership.end(); }));
  restore::RestartOptions options;
  options.pids = request.pids;
  options.rollback_files = request.rollback_files;
  options.restorer_path = installation.restorer;
  options.threads = request.threads;
  options.progress = request.progress;
  if (terminal != nullptr) options.own_terminal = terminal->master();
  return restore::restart(reader, area, options);
}

bool has_own_terminal(const image::Manifest& manifest) {
  return std::any_of(manifest.terminals().begin(), manifest.terminals().end(),
                     [](const image::TerminalRecord& record) {
                       return record.place() == image::TerminalRecord::OWN;
                     });
}

// Programs look at TERM once, when they start.
void compare_terminal_type(const image::Manifest& manifest) {
  const char* here = std::getenv("TERM");
  const std::string& then = manifest.job().terminal_type();
  if (here == nullptr || then.empty() || manifest.terminals().empty() || then == here) return;
  if (isatty(STDOUT_FILENO) == 0) return;
  tell("the job was started on a terminal of type " + then + ", this one is " + here +
       ": its screen may look wrong");
}

// What ^Z had stopped goes on, for its user is here again.
void continue_stopped(const image::Manifest& manifest, RealPid root) {
  if (!manifest.processes(0).stopped()) return;
  const pid_t group = getpgid(root.value);
  kill(group > 0 && group != getpgrp() ? -group : root.value, SIGCONT);
}

// The terminal of the restart takes the place of the one that the job was started on.
void take_over(const image::Manifest& manifest, SharedTerminal& terminal, Redraw how,
               RealPid root) {
  for (const image::TerminalRecord& record : manifest.terminals()) {
    terminal::Modes modes{};
    if (record.place() != image::TerminalRecord::OUTSIDE || record.modes().size() != sizeof modes)
      continue;
    std::memcpy(&modes, record.modes().data(), sizeof modes);
    if (!terminal) return;
    terminal.take_over(modes);
    if (how != Redraw::kNone) kill(-tcgetpgrp(terminal.fd()), SIGWINCH);
    continue_stopped(manifest, root);
    return;
  }
}

// Where the job has a terminal in namespaces of its own, the keeper has that from now on.
Status connect_terminal(restore::Restarted& job_again, KeeperLink& terminal) {
  if (job_again.pids == restore::PidsMode::kNamespace)
    CK_TRY(terminal.use(std::move(job_again.own_terminal)));
  return job_again.typed.empty() ? Status() : terminal.type(job_again.typed);
}

// `restored` is set once the job runs: from then on its folder must stay. `keeper`: of the job's
// own terminal, or none.
Result<int> run_in(const JobDir& job, std::unique_ptr<image::Reader> reader,
                   const RestartRequest& request, RealPid keeper, bool* restored) {
  Settings settings = with_changes(job.info().settings, request);
  settings.hostname = reader->manifest().job().hostname();
  Installation installation = CK_TRY(find_installation());
  CK_TRY(block_supervised_signals());
  UniqueFd control_socket = CK_TRY(open_own_control_socket());
  Ownership ownership = CK_TRY(Ownership::acquire(job, request.force));
  // It may have finished between the first look and the lock.
  std::optional<int> finished = CK_TRY(finished_status(job, request));
  if (finished) {
    CK_TRY(ownership.end());
    return *finished;
  }
  auto give_up = [&ownership](Error error) {
    (void)ownership.end();
    return error;
  };
  std::optional<KeeperLink> terminal;
  if (keeper) {
    Result<KeeperLink> link = KeeperLink::connect(keeper, job.info().name);
    if (!link.ok()) return give_up(std::move(link).error());
    terminal = *std::move(link);
  }
  std::optional<SharedTerminal> shared;
  if (!keeper) shared.emplace();
  KeeperLink* const link = terminal ? &*terminal : nullptr;
  Status ready = become_subreaper();
  if (!ready.ok()) return give_up(std::move(ready).error());
  Result<ControlArea> area =
      area_for(job, installation.agent, reader->manifest(), settings.request_signal);
  if (!area.ok()) return give_up(std::move(area).error());
  Result<restore::Restarted> job_again =
      restore_from(*reader, *area, installation, ownership, request, link);
  if (request.on_restored) request.on_restored();
  if (!job_again.ok()) return give_up(std::move(job_again).error());
  *restored = true;
  std::optional<int> root_status;
  if (reader->manifest().job().has_root_status())
    root_status = reader->manifest().job().root_status();
  compare_terminal_type(reader->manifest());
  if (link != nullptr) {
    Status connected = connect_terminal(*job_again, *link);
    if (!connected.ok()) return give_up(std::move(connected).error());
    continue_stopped(reader->manifest(), job_again->root->pid());
  }
  if (shared) take_over(reader->manifest(), *shared, request.redraw, job_again->root->pid());
  reader.reset();
  for (const std::string& line : job_again->warnings) tell(line);
  Status recorded = ownership.record_root(job_again->root->pid(), area->path(), keeper);
  if (recorded.ok() && request.force) recorded = ownership.forget_finished();
  if (!recorded.ok()) spdlog::warn("{}", recorded.error().text());
  return supervise("ckpt", job, ownership, *job_again->root, std::move(control_socket), *area,
                   settings, root_status, link, shared ? &*shared : nullptr);
}

// In this process, or where the job has a terminal of its own in one behind it.
Result<int> run_anywhere(const JobDir& job, std::unique_ptr<image::Reader> reader,
                         const RestartRequest& request, bool* restored) {
  const image::Manifest& manifest = reader->manifest();
  if (!has_own_terminal(manifest)) return run_in(job, std::move(reader), request, {}, restored);
  OwnTerminalPlan plan;
  plan.tool = "ckpt";
  plan.redraw = true;
  plan.how = request.redraw;
  for (const image::TerminalRecord& record : manifest.terminals())
    if (record.place() == image::TerminalRecord::OWN) plan.number = record.number();
  bool here = true;  // the client leaves the job's folder to the supervisor
  Result<int> status = on_own_terminal(plan, [&](RealPid keeper) {
    here = false;
    return run_in(job, std::move(reader), request, keeper, restored);
  });
  *restored |= here;
  return status;
}

}  // namespace

Result<int> restart_job(const RestartRequest& request) {
  CK_TRY(refuse_in_a_job());
  ImageTarget target = CK_TRY(locate_image(request.target, request.jobs_folder));
  if (target.job) {
    std::optional<int> finished = CK_TRY(finished_status(*target.job, request));
    if (finished) return *finished;
  }
  OpenImage image = CK_TRY(open_image(target, true));
  for (const std::string& line : image.skipped) tell(line);
  if (!request.as.empty()) CK_TRY(check_name(request.as));

  bool made_here = !request.as.empty();
  if (made_here) {
    target.job = CK_TRY(make_clone(target.job, *image.reader, request));
  } else if (!target.job) {
    target.job = CK_TRY(job_of_foreign_image(*image.reader, request));
    std::optional<int> finished = CK_TRY(finished_status(*target.job, request));
    if (finished) return *finished;
  }
  bool restored = false;
  Result<int> status = run_anywhere(*target.job, std::move(image.reader), request, &restored);
  if (!status.ok() && !restored && made_here) (void)remove_job_folder(*target.job);
  return status;
}

}  // namespace ck::job
