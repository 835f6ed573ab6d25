// ckpt attach, ckpt detach: the user's end of a job's own terminal.
#include <cstdio>
#include <memory>

#include "runtime/job/attach_job.h"
#include "runtime/job/names.h"
#include "tools/ckpt.h"
#include "tools/cli.h"

namespace ck::tools {
namespace {

struct Options {
  std::string target;
  std::string dir;
  job::Redraw redraw = job::Redraw::kAuto;
};

Result<int> attach(const Options& options) {
  return job::attach_job(options.target, CK_TRY(job::jobs_folder(options.dir)), options.redraw);
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

void declare_detach(CLI::App& app, Action& action) {
  auto options = std::make_shared<Options>();
  CLI::App* sub = declare(app, "detach", "Leave a job's own terminal; the job goes on", *options);
  sub->callback([options, &action] { action = [options] { return detach(*options); }; });
}

}  // namespace ck::tools
