// ckpt: checkpoints, restarts, lists, examines and removes jobs and their images.
#include "tools/ckpt.h"

#include "runtime/base/death.h"
#include "runtime/base/log.h"
#include "runtime/base/standard_streams.h"
#include "tools/cli.h"

namespace ck::tools {
namespace {

constexpr char kExamples[] = R"(ckpt PID and ckpt JOB are short for ckpt save.

Examples:
  ckpt 4711                  checkpoint the job of process 4711; it goes on
  ckpt --stop fit            checkpoint job "fit" and end it
  ckpt restart fit           bring it back, from its newest whole image
  ckpt restart fit --as fit2 start a clone of it
  ckpt detach vi; ckpt attach vi    leave the job's terminal; come back from another one
  ckpt ls                    jobs; ckpt ls fit: its images
  ckpt hosts                 the hosts of the cluster, as this host's ckd sees them
  ckpt migrate fit node2     it goes on there; with --auto: where the load is lowest

ckpt SUBCOMMAND --help tells the options of each; exit codes are in ckpt(1).)";

// `ckpt [options] PID` becomes `ckpt save [options] PID`.
void insert_save(const CLI::App& app, std::vector<std::string>& args) {
  const CLI::App* save = find_subcommand(app, "save");
  FirstWord word = first_word({&app, save}, args);
  if (word.index >= args.size()) {
    bool about_ckpt =
        args.empty() || args[0] == "-h" || args[0] == "--help" || args[0] == "--version";
    if (!about_ckpt) args.insert(args.begin(), "save");
  } else if (word.after_dashes || find_subcommand(app, args[word.index]) == nullptr) {
    args.insert(args.begin(), "save");
  }
}

// `--files map OLD=NEW` is one word for the parser.
void join_map(std::vector<std::string>& args) {
  for (std::size_t i = 0; i + 1 < args.size(); ++i) {
    const bool map =
        args[i] == "--files=map" || (args[i] == "map" && i > 0 && args[i - 1] == "--files");
    if (!map) continue;
    args[i] += ":" + args[i + 1];
    args.erase(args.begin() + static_cast<std::ptrdiff_t>(i) + 1);
  }
}

int run(std::vector<std::string> args) {
  CLI::App app("Checkpoints, restarts and examines jobs that were started with ckrun.", kCkpt);
  app.set_version_flag("--version", "ckpt " CKRUN_VERSION);
  app.require_subcommand(1);
  app.footer(kExamples);
  Action action;
  declare_save(app, action);
  declare_unhold(app, action);
  declare_suspend(app, action);
  declare_restart(app, action);
  declare_ls(app, action);
  declare_inspect(app, action);
  declare_verify(app, action);
  declare_rm(app, action);
  declare_check(app, action);
  declare_attach(app, action);
  declare_detach(app, action);
  declare_serve_terminal(app, action);
  declare_hosts(app, action);
  declare_migrate(app, action);
  declare_drain(app, action);
  declare_top(app, action);
  declare_resolve(app, action);
  join_map(args);
  if (const Status order = check_order(kCkpt, app, find_subcommand(app, "save"), args); !order.ok())
    return fail(kCkpt, order.error());
  insert_save(app, args);
  if (auto code = parse(kCkpt, app, args)) return *code;
  Result<int> status = action();
  return status.ok() ? *status : fail(kCkpt, status.error());
}

}  // namespace
}  // namespace ck::tools

int main(int argc, char** argv) {
  ck::fill_standard_streams();
  ck::log::init("ckpt");
  return ck::end_as(
      ck::tools::finish_output(ck::tools::kCkpt, ck::tools::run({argv + 1, argv + argc})));
}
