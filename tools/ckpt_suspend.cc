// ckpt suspend and ckpt resume: a job stands still until it is told to go on.
#include <memory>

#include "runtime/job/adopt_job.h"
#include "runtime/job/names.h"
#include "tools/ckpt.h"
#include "tools/cli.h"

namespace ck::tools {
namespace {

constexpr std::chrono::seconds kPatience{30};

struct Options {
  std::string target;
  std::string dir;
};

// A job whose supervisor has died while it was suspended gets a new one: nobody else could let it
// go on.
Result<int> ask(const Options& options, const job::wire::Request& request) {
  const std::string folder = CK_TRY(job::jobs_folder(options.dir));
  job::ControlClient client = CK_TRY(job::find_or_start_supervisor(options.target, folder));
  CK_TRY(client.ask(request, kPatience));
  return 0;
}

void declare(CLI::App& app, const char* name, const char* help, const job::wire::Request& request,
             Action& action) {
  CLI::App* sub = app.add_subcommand(name, help);
  auto options = std::make_shared<Options>();
  sub->add_option("PID|JOB", options->target, "A process of the job, or the job's name or id")
      ->required();
  add_dir(*sub, options->dir);
  sub->callback([options, request, &action] {
    action = [options, request] { return ask(*options, request); };
  });
}

}  // namespace

void declare_suspend(CLI::App& app, Action& action) {
  job::wire::Request suspend, resume;
  suspend.mutable_suspend();
  resume.mutable_resume();
  declare(app, "suspend", "Let all processes of a job stand still", suspend, action);
  declare(app, "resume", "Let a job go on that the load or ckpt suspend has suspended", resume,
          action);
}

}  // namespace ck::tools
