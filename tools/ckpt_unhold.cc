// ckpt unhold: a job that stands still since ckpt --hold or ckpt restart --hold goes on, or is
// ended.
#include <memory>
#include <optional>

#include "runtime/job/find_job.h"
#include "runtime/job/moved_job.h"
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
  std::string moved_to;
};

Result<int> note_move(const Options& options, const std::string& folder) {
  CK_TRY(job::note_move(options.target, folder, job::move_to(options.moved_to, *options.counter)));
  return 0;
}

Result<int> unhold(const Options& options) {
  if (options.end && options.counter && options.moved_to.empty())
    return make_error(ErrorKind::kUsage, "--end takes --counter with --moved-to only");
  const std::string folder = CK_TRY(job::jobs_folder(options.dir));
  Result<job::ControlClient> found = job::find_supervisor(options.target, folder);
  if (!found.ok() && found.error().kind == ErrorKind::kNotFound && !options.moved_to.empty()) {
    auto superseded = CK_TRY(job::find_superseded(options.target, folder));
    if (!superseded) return note_move(options, folder);
    found = std::move(*superseded);
  }
  job::ControlClient client = CK_TRY(std::move(found));
  job::wire::Request request;
  job::wire::UnholdRequest& unhold = *request.mutable_unhold();
  unhold.set_end(options.end);
  if (options.counter) unhold.set_counter(*options.counter);
  unhold.set_moved_to(options.moved_to);
  const job::wire::Reply reply = CK_TRY(client.ask(request, kPatience));
  // The supervisor of a job that moves may stay.
  if (reply.done().stopped() && options.moved_to.empty() && !client.wait_for_end(kPatience))
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
  CLI::Option* end =
      sub->add_flag("--end", options->end, "End it instead: it is as after ckpt --stop");
  CLI::Option* counter =
      sub->add_option("--counter", options->counter,
                      "Who moves jobs says which incarnation goes on: not below N")
          ->type_name("N");
  sub->add_option("--moved-to", options->moved_to,
                  "With --end: it goes on at that host, as incarnation N")
      ->type_name("HOST")
      ->needs(end)
      ->needs(counter);
  add_dir(*sub, options->dir);
  sub->callback([options, &action] { action = [options] { return unhold(*options); }; });
}

}  // namespace ck::tools
