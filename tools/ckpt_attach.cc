// ckpt attach, ckpt detach: the user's end of a job's own terminal.
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "driver/terminal/terminal_server.h"
#include "runtime/job/attach_job.h"
#include "runtime/job/find_job.h"
#include "runtime/job/keeper_wire.h"
#include "runtime/job/names.h"
#include "runtime/job/ready.h"
#include "tools/ckpt.h"
#include "tools/cli.h"
#include "tools/follow.h"

namespace ck::tools {
namespace {

struct Options {
  std::string target;
  std::string dir;
  job::Redraw redraw = job::Redraw::kAuto;
};

Result<int> attach(const Options& options) {
  const std::string folder = CK_TRY(job::jobs_folder(options.dir));
  if (!job::looks_like_pid(options.target)) {
    const job::JobDir job = CK_TRY(job::JobDir::find(folder, options.target));
    const auto last = CK_TRY(job.incarnation());
    if (last && last->is_move())
      return attach_elsewhere(job.info(), last->host.name, options.redraw);
  }
  return job::attach_job(options.target, folder, options.redraw);
}

struct ServeOptions {
  std::string job;
  std::string dir;
  int ready_fd = -1;
};

// What ckd starts for who attaches a job from another host.
Result<int> serve(const ServeOptions& options) {
  UniqueFd ready(options.ready_fd);
  const std::string folder = CK_TRY(job::jobs_folder(options.dir));
  const job::JobDir job = CK_TRY(job::JobDir::find(folder, options.job));
  const auto life = CK_TRY(job.incarnation());
  if (!life || !life->keeper)
    return make_error(ErrorKind::kRefused, "job " + options.job + " has no terminal of its own");
  driver::terminal::ServerPlan plan;
  plan.keeper = CK_TRY(job::keeper::connect(life->keeper));
  plan.keeper_pid = life->keeper;
  plan.jobs_folder = folder;
  plan.on_ready = [&ready] { job::tell_ready(ready); };
  return CK_TRY(driver::terminal::serve_terminal(std::move(plan))).status;
}

Result<int> detach(const Options& options) {
  if (!CK_TRY(job::detach_job(options.target, CK_TRY(job::jobs_folder(options.dir)))))
    std::puts("nobody was attached");
  return 0;
}

CLI::App* declare(CLI::App& app, const char* name, const char* help, Options& options) {
  CLI::App* sub = app.add_subcommand(name, help);
  sub->add_option("PID|JOB", options.target, "A process of the job, or the job's name or id")
      ->required();
  add_dir(*sub, options.dir);
  return sub;
}

}  // namespace

void declare_attach(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = declare(app, "attach", "Type at a job's own terminal, and see it", *options);
  add_parsed(*sub, "--redraw", options->redraw, job::parse_redraw, "HOW",
             "How the program comes to draw its screen: auto, winch or none");
  sub->callback([options, &action] { action = [options] { return attach(*options); }; });
}

void declare_serve_terminal(CLI::App& app, Action& action) {
  auto options = std::make_shared<ServeOptions>();
  CLI::App* sub = app.add_subcommand("serve-terminal", "")->group("");
  sub->add_option("JOB", options->job)->required();
  sub->add_option("--ready-fd", options->ready_fd);
  add_dir(*sub, options->dir);
  sub->callback([options, &action] { action = [options] { return serve(*options); }; });
}

void declare_detach(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = declare(app, "detach", "Leave a job's own terminal; the job goes on", *options);
  sub->callback([options, &action] { action = [options] { return detach(*options); }; });
}

}  // namespace ck::tools
