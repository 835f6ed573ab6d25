// ckpt unhold: a job that stands still since ckpt --hold or ckpt restart --hold goes on, or is
// ended.
#include <memory>
#include <optional>

#include "runtime/job/find_job.h"
#include "runtime/job/names.h"
#include "tools/ckpt.h"
#include "tools/cli.h"

namespace ck::tools {
namespace {

constexpr std::chrono::seconds kPatience{30};

struct Options {
  std::string target;
  std::string dir;
  bool end = false;
  std::optional<std::uint64_t> counter;
};

Result<int> unhold(const Options& options) {
  job::ControlClient client =
      CK_TRY(job::find_supervisor(options.target, CK_TRY(job::jobs_folder(options.dir))));
  job::wire::Request request;
  job::wire::UnholdRequest& unhold = *request.mutable_unhold();
  unhold.set_end(options.end);
  if (options.counter) unhold.set_counter(*options.counter);
  const job::wire::Reply reply = CK_TRY(client.ask(request, kPatience));
  if (reply.done().stopped() && !client.wait_for_end(kPatience))
    return make_error(ErrorKind::kTryAgain,
                      "supervisor " + to_string(client.supervisor()) + " has not ended yet");
  return 0;
}

}  // namespace

void declare_unhold(CLI::App& app, Action& action) {
  CLI::App* sub =
      app.add_subcommand("unhold", "Let a job go on that stands still since ckpt [restart] --hold");
  auto options = std::make_shared<Options>();
  sub->add_option("PID|JOB", options->target, "The supervisor's pid, or the job's name or id")
      ->required();
  sub->add_flag("--end", options->end, "End it instead: it is as after ckpt --stop");
  sub->add_option("--counter", options->counter,
                  "Who moves jobs says which incarnation goes on: not below N")
      ->type_name("N");
  add_dir(*sub, options->dir);
  sub->callback([options, &action] { action = [options] { return unhold(*options); }; });
}

}  // namespace ck::tools
