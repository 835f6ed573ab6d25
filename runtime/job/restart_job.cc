#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "runtime/image/generations.h"
#include "runtime/job/image_target.h"
#include "runtime/job/names.h"
#include "runtime/job/own_terminal.h"
#include "runtime/job/remove_job.h"
#include "runtime/job/restart_run.h"
#include "runtime/job/run_parts.h"
#include "runtime/restore/map_paths.h"

namespace ck::job {
namespace {

// A clone owns its first image, so that it can be restarted before it has been checkpointed. Where
// the file system cannot share the file, the clone has none until then.
void adopt_image(const JobDir& clone, const image::Reader& reader) {
  std::string own = clone.file(image::generation_name(1).c_str());
  Status linked = image::link_parents(reader, clone.path());
  if (linked.ok() &&
      linkat(AT_FDCWD, reader.path().c_str(), AT_FDCWD, own.c_str(), AT_SYMLINK_FOLLOW) != 0)
    linked = sys_error("link " + reader.path() + " to " + own);
  if (!linked.ok())
    tell("job " + clone.info().name +
         " cannot be restarted before its first checkpoint: " + linked.error().message);
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
Result<JobDir> job_of_foreign_image(const image::Reader& reader, const RestartRequest& request,
                                    bool* made_here) {
  JobInfo info = job_info_of(reader.manifest());
  Result<JobDir> known = JobDir::find(request.jobs_folder, info.id);
  if (known.ok() && known->info().id == info.id) return known;
  CK_TRY(check_name(info.name));
  CK_TRY(check_name(info.id));
  JobDir made = CK_TRY(JobDir::create(request.jobs_folder, std::move(info)));
  adopt_image(made, reader);
  *made_here = true;
  return made;
}

bool has_own_terminal(const image::Manifest& manifest) {
  return std::any_of(manifest.terminals().begin(), manifest.terminals().end(),
                     [](const image::TerminalRecord& record) {
                       return record.place() == image::TerminalRecord::OWN;
                     });
}

void take_plan(const image::TerminalRecord& record, OwnTerminalPlan& plan) {
  plan.number = record.number();
  terminal::Window window{};
  if (record.window().size() != sizeof window) return;
  std::memcpy(&window, record.window().data(), sizeof window);
  if (window.ws_row != 0 && window.ws_col != 0) plan.window = window;
}

// In this process, or where the job has a terminal of its own in one behind it.
Result<int> run_anywhere(const JobDir& job, std::unique_ptr<image::Reader> reader,
                         const RestartRequest& request, bool* restored) {
  const image::Manifest& manifest = reader->manifest();
  const auto run_here = [&](RealPid keeper) {
    RestartRun run(job, std::move(reader), request, keeper);
    Result<int> status = run.run();
    *restored = run.restored();
    return status;
  };
  if (!has_own_terminal(manifest)) {
    Result<int> status = run_here({});
    // One that a hand-over has started has nobody who waits for it.
    if (!status.ok() || request.ready_fd != -1) return status;
    return status_if_moved(job, request.on_moved, *status);
  }
  OwnTerminalPlan plan;
  plan.tool = "ckpt";
  plan.redraw = true;
  plan.how = request.redraw;
  plan.for_supervisor = request.ready_fd;
  plan.elsewhere = terminal_if_moved(request.jobs_folder, request.terminal_of);
  plan.serve = request.serve_terminal;
  for (const image::TerminalRecord& record : manifest.terminals())
    if (record.place() == image::TerminalRecord::OWN) take_plan(record, plan);
  bool here = true;  // the client leaves the job's folder to the supervisor
  Result<int> status = on_own_terminal(plan, [&](RealPid keeper) {
    here = false;
    return run_here(keeper);
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
  image.reader = CK_TRY(restore::with_mapped_paths(std::move(image.reader), request.maps));
  if (!request.as.empty()) CK_TRY(check_name(request.as));

  bool made_here = !request.as.empty();
  if (made_here) {
    target.job = CK_TRY(make_clone(target.job, *image.reader, request));
  } else if (!target.job) {
    target.job = CK_TRY(job_of_foreign_image(*image.reader, request, &made_here));
    std::optional<int> finished = CK_TRY(finished_status(*target.job, request));
    if (finished) return *finished;
  }
  bool restored = false;
  Result<int> status = run_anywhere(*target.job, std::move(image.reader), request, &restored);
  // Unless somebody else has found it meanwhile, and is at work on it.
  if (!status.ok() && !restored && made_here) (void)remove_job(*target.job, false);
  return status;
}

}  // namespace ck::job
