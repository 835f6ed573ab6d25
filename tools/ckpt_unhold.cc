// ckpt unhold: a job that stands still since ckpt --hold or ckpt restart --hold goes on, or is
// ended.
#include <memory>
#include <optional>

#include "runtime/job/find_job.h"
#include "runtime/job/moved_job.h"
#include "runtime/job/names.h"
#include "runtime/job/unhold.h"
#include "tools/ckpt.h"
#include "tools/cli.h"

namespace ck::tools {
namespace {

struct Options {
  std::string target;
  std::string dir;
  job::UnholdOrder order;
};

Result<int> note_move(const Options& options, const std::string& folder) {
  const job::UnholdOrder& order = options.order;
  CK_TRY(job::note_move(options.target, folder, job::move_to(order.moved_to, *order.counter)));
  return 0;
}

Result<int> unhold(const Options& options) {
  const job::UnholdOrder& order = options.order;
  if (order.end && order.counter && order.moved_to.empty())
    return make_error(ErrorKind::kUsage, "--end takes --counter with --moved-to only");
  const std::string folder = CK_TRY(job::jobs_folder(options.dir));
  Result<job::ControlClient> found = job::find_supervisor(options.target, folder);
  if (!found.ok() && found.error().kind == ErrorKind::kNotFound && !order.moved_to.empty()) {
    auto superseded = CK_TRY(job::find_superseded(options.target, folder));
    if (!superseded) return note_move(options, folder);
    found = std::move(*superseded);
  }
  job::ControlClient client = CK_TRY(std::move(found));
  CK_TRY(job::unhold(client, order));
  return 0;
}

}  // namespace

void declare_unhold(CLI::App& app, Action& action) {
  CLI::App* sub =
      app.add_subcommand("unhold", "Let a job go on that stands still since ckpt [restart] --hold");
  auto options = std::make_shared<Options>();
  sub->add_option("PID|JOB", options->target, "The supervisor's pid, or the job's name or id")
      ->required();
  CLI::Option* end =
      sub->add_flag("--end", options->order.end, "End it instead: it is as after ckpt --stop");
  CLI::Option* counter =
      sub->add_option("--counter", options->order.counter,
                      "Who moves jobs says which incarnation goes on: not below N")
          ->type_name("N");
  sub->add_option("--moved-to", options->order.moved_to,
                  "With --end: it goes on at that host, as incarnation N")
      ->type_name("HOST")
      ->needs(end)
      ->needs(counter);
  add_dir(*sub, options->dir);
  sub->callback([options, &action] { action = [options] { return unhold(*options); }; });
}

}  // namespace ck::tools
