// ckrun [options] [--] PROG ARGS…: runs a program so that it can be checkpointed and restarted.
#include <limits.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "runtime/base/death.h"
#include "runtime/base/log.h"
#include "runtime/base/standard_streams.h"
#include "runtime/job/names.h"
#include "runtime/job/run_job.h"
#include "tools/by_ckd.h"
#include "tools/cli.h"
#include "tools/follow.h"
#include "tools/run_elsewhere.h"

namespace ck::tools {
namespace {

constexpr char kTool[] = "ckrun";
constexpr int kCannotExecute = 126;
constexpr int kNotFound = 127;

constexpr char kExamples[] = R"(Examples:
  ckrun ./simulate input.dat            run it; then, from anywhere: ckpt PID
  ckrun --name fit --interval 30m --keep 3 python3 fit.py
  ckrun --compress none -- prog --its --own options

Exit status: the program's own; 128+N if signal N ended it; 85 (--stop-exit) after
ckpt --stop; 126 or 127 if the program cannot be executed or found; else as in ckrun(1).)";

struct Options {
  std::string dir;
  std::string on;       // that host, instead of this one
  bool by_ckd = false;  // it is that one
  bool keep_hostname = false;
  job::StartRequest request;
};

void add_flag(CLI::App& app, const char* name, std::optional<bool>& target, bool value,
              const char* help) {
  app.add_flag_callback(
      name, [&target, value] { target = value; }, help);
}

void declare(CLI::App& app, Options& options) {
  job::Settings& settings = options.request.settings;
  app.set_version_flag("--version", "ckrun " CKRUN_VERSION);
  app.add_option("--name", options.request.name, "Name of the job (default: from PROG)")
      ->type_name("NAME")
      ->check(mistake(job::check_name));
  add_dir(app, options.dir);
  app.add_option("--on", options.on, "Run it on that host, with the terminal here (needs ckd)")
      ->type_name("HOST");
  app.add_flag("--by-ckd", options.by_ckd)->group("");
  add_parsed(app, "--interval", settings.interval, job::parse_interval, "TIME",
             "Checkpoint every TIME, such as 10m or 1h30m");
  add_parsed(app, "--keep", settings.keep, number_between(1, 1'000'000), "N",
             "Keep the newest N images only (default: all)");
  add_parsed(app, "-s,--signal", settings.request_signal, job::parse_request_signal, "SIG",
             "Signal that asks for a checkpoint (default: SIGUSR2)");
  add_parsed(app, "--compress", settings.compression, job::parse_compression, "HOW",
             "none, zstd or zstd:LEVEL (default: zstd:1)");
  add_parsed(app, "--threads", settings.threads, number_between(0, 1024), "N",
             "Threads that compress and write (default: one a core)");
  add_parsed(app, "--timeout", settings.timeout, job::parse_duration, "TIME",
             "How long a checkpoint may wait for the job to stand still (default: 30s)");
  add_parsed(app, "--tcp", settings.tcp, job::parse_tcp, "HOW",
             "TCP connections to outside of the job: reset (default), refuse or repair");
  add_parsed(app, "--stop-exit", settings.stop_exit, number_between(0, 255), "N",
             "Exit status after ckpt --stop (default: 85)");
  add_parsed(app, "--class", settings.job_class, job::parse_job_class, "NAME",
             "Class of the job, which tells ckd when the load moves it (default: default)");
  app.add_flag("--keep-hostname", options.keep_hostname,
               "The job sees this host's name wherever it is restarted");
  app.add_flag("--allow-uncontrolled", settings.allow_uncontrolled,
               "Leave processes that run without the agent out of images");
  add_flag(app, "--pty", options.request.own_terminal, true,
           "Give the job a terminal of its own (default on a terminal): it can be\n"
           "detached, and attached from another one");
  add_flag(app, "--no-pty", options.request.own_terminal, false, "Run it on this terminal itself");
  add_parsed(app, "--max-threads", options.request.max_threads,
             number_between(1, job::kMostThreads), "N",
             "Threads that the job may have at a checkpoint; each process counts as\n"
             "two more (default: 2048)");
  app.footer(kExamples);
}

std::string own_hostname() {
  char name[HOST_NAME_MAX + 1] = {};
  gethostname(name, sizeof name - 1);
  return name;
}

// As shells do, where the command itself is the trouble.
int status_of_command(const Error& error) {
  if (error.kind == ErrorKind::kNotFound) return kNotFound;
  if (error.kind == ErrorKind::kPermission) return kCannotExecute;
  return exit_code(error.kind);
}

// CLI11 does not know of the program and its arguments, which are cut off before it.
class UsageFormatter : public CLI::Formatter {
 public:
  std::string make_usage(const CLI::App* /*app*/, std::string /*name*/) const override {
    return "Usage: ckrun [OPTIONS] [--] PROG [ARGS...]\n";
  }
};

Status check(const Options& options) {
  if (options.request.command.empty())
    return make_error(ErrorKind::kUsage, "no program was given",
                      "ckrun [OPTIONS] [--] PROG [ARGS...]");
  if (getauxval(AT_SECURE) != 0)
    return make_error(ErrorKind::kRefused, "ckrun runs with borrowed privileges",
                      "it must not be setuid or have file capabilities");
  if (!options.on.empty() && !options.by_ckd && !options.dir.empty())
    return make_error(ErrorKind::kUsage, "--dir is a folder of this host, and --on means another",
                      "the job's folder is where ckd there has its jobs");
  return {};
}

// `fail` says why the program does not run, and returns the exit status for that.
int start_here(Options& options, ByCkd* by_ckd,
               const std::function<int(const Error&, int status)>& fail) {
  const char* path = getenv("PATH");
  Result<std::string> program =
      process::preflight(options.request.command[0], path == nullptr ? "/usr/bin:/bin" : path);
  if (!program.ok()) return fail(program.error(), status_of_command(program.error()));
  Result<std::string> folder = job::jobs_folder(options.dir);
  if (!folder.ok()) return fail(folder.error(), exit_code(folder.error().kind));
  options.request.jobs_folder = *folder;
  if (options.keep_hostname) options.request.settings.hostname = own_hostname();
  options.request.on_moved = [](const job::JobInfo& job, const std::string& host, int status) {
    return follow_moved(kTool, job.id, job.name, host, status);
  };
  options.request.terminal_of = terminal_elsewhere;
  if (by_ckd != nullptr) by_ckd->fill(options.request);
  Result<int> status = job::start_job(options.request);
  return status.ok() ? *status : fail(status.error(), exit_code(status.error().kind));
}

int run_here(Options& options) {
  return start_here(options, nullptr, [](const Error& error, int status) {
    (void)fail(kTool, error);
    return status;
  });
}

int run_by_ckd(Options& options) {
  Result<ByCkd> by_ckd = ByCkd::take();
  if (!by_ckd.ok()) return fail(kTool, by_ckd.error());
  return start_here(options, &*by_ckd, [&by_ckd](const Error& error, int status) {
    by_ckd->fail(error, status);
    return status;
  });
}

int run(const std::vector<std::string>& args) {
  CLI::App app("Runs a program so that it can be checkpointed while it runs, and restarted.",
               kTool);
  app.formatter(std::make_shared<UsageFormatter>());
  Options options;
  declare(app, options);
  FirstWord word = first_word({&app}, args);
  auto command = args.begin() + static_cast<std::ptrdiff_t>(word.index);
  auto options_end = word.after_dashes ? command - 1 : command;
  if (auto code = parse(kTool, app, {args.begin(), options_end})) return *code;
  options.request.command.assign(command, args.end());
  const Status checked = check(options);
  if (!checked.ok()) return fail(kTool, checked.error());
  if (options.by_ckd) return run_by_ckd(options);
  if (options.on.empty()) return run_here(options);
  const Result<int> status = run_elsewhere({options.on, args, options.request.own_terminal});
  return status.ok() ? *status : fail(kTool, status.error());
}

}  // namespace
}  // namespace ck::tools

int main(int argc, char** argv) {
  ck::fill_standard_streams();
  ck::log::init("ckrun");
  return ck::end_as(ck::tools::run({argv + 1, argv + argc}));
}
