// ckpt restart: brings a job back in the foreground, as its new supervisor.
#include <fcntl.h>

#include <memory>

#include "driver/terminal/terminal_server.h"
#include "runtime/job/names.h"
#include "runtime/job/run_job.h"
#include "tools/ckpt.h"
#include "tools/cli.h"
#include "tools/follow.h"
#include "tools/progress_bar.h"

namespace ck::tools {
namespace {

struct Options {
  job::RestartRequest request;
  std::string dir;
  bool serves = false;  // its terminal, to a user at another host
};

Result<restore::PidsMode> parse_pids(std::string_view text) {
  if (text == "auto") return restore::PidsMode::kAuto;
  if (text == "real") return restore::PidsMode::kReal;
  if (text == "namespace") return restore::PidsMode::kNamespace;
  if (text == "virtual") return restore::PidsMode::kVirtual;
  return make_error(ErrorKind::kUsage, "'" + std::string(text) + "' is not a way to keep pids",
                    "write auto, real, namespace or virtual");
}

// Whoever started this waits at its other end; the job must not have it.
Status take_ready_fd(int fd) {
  if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) == 0) return {};
  return make_error(ErrorKind::kUsage, "--ready-fd " + std::to_string(fd) + " is not open");
}

Result<int> restart(Options& options) {
  CK_TRY(take_ready_fd(options.request.ready_fd));
  options.request.jobs_folder = CK_TRY(job::jobs_folder(options.dir));
  ProgressBar bar;
  options.request.progress = &bar;
  options.request.on_restored = [&bar] { bar.clear(); };
  options.request.on_moved = [](const job::JobInfo& job, const std::string& host, int status) {
    return follow_moved(kCkpt, job.id, job.name, host, status);
  };
  options.request.terminal_of = terminal_elsewhere;
  if (options.serves) {
    options.request.serve_terminal = [folder = options.request.jobs_folder](UniqueFd connection,
                                                                            RealPid keeper) {
      return driver::terminal::serve_terminal({std::move(connection), keeper, folder, {}});
    };
  }
  return job::restart_job(options.request);
}

}  // namespace

void declare_restart(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("restart", "Bring a job back, in the foreground");
  auto options = std::make_shared<Options>();
  job::RestartRequest& request = options->request;
  sub->add_option("IMAGE|JOB", request.target,
                  "Path of an image; or a job's name, id or folder: its newest whole image")
      ->required();
  sub->add_option("--as", request.as, "Start a new job of this name, a clone")
      ->type_name("NAME")
      ->check(mistake(job::check_name));
  add_parsed(*sub, "--pids", request.pids, parse_pids, "HOW",
             "How pids stay what they were: auto, real, namespace or virtual");
  sub->add_flag("--rollback-files", request.rollback_files,
                "Truncate files that have grown since the checkpoint");
  add_path_maps(*sub, "--map", request.maps,
                "The job's files that were at OLD or below it are at NEW; repeatable");
  sub->add_flag("--force", request.force,
                "Also if the job has finished, or may be running on another host");
  CLI::Option* hold = sub->add_flag("--hold", request.hold,
                                    "Let nothing of it run until ckpt unhold tells how it goes on");
  sub->add_flag("--in-advance", request.in_advance)->needs(hold)->group("");
  sub->add_option("--counter", request.counter, "As in ckpt unhold")
      ->type_name("N")
      ->excludes(hold);
  sub->add_flag("--keep-suspended", request.keep_suspended,
                "A job that its user had suspended at the checkpoint stays so");
  sub->add_option("--ready-fd", request.ready_fd)->group("");
  sub->add_flag("--serve-terminal", options->serves)->group("");
  add_parsed(*sub, "--threads", request.threads, number_between(0, 1024), "N",
             "Threads that read and decompress (default: one a core)");
  add_parsed(*sub, "--interval", request.interval, job::parse_interval, "TIME",
             "Checkpoint every TIME from now on; 0: never");
  add_parsed(*sub, "--keep", request.keep, number_between(0, 1'000'000), "N",
             "Keep the newest N images only; 0: all");
  add_parsed(*sub, "-s,--signal", request.request_signal, job::parse_request_signal, "SIG",
             "Signal that asks for a checkpoint");
  add_parsed(*sub, "--compress", request.compression, job::parse_compression, "HOW",
             "none, zstd or zstd:LEVEL");
  add_parsed(*sub, "--tcp", request.tcp, job::parse_tcp, "HOW",
             "TCP connections to outside of the job, from now on: reset, refuse or repair");
  add_parsed(*sub, "--timeout", request.timeout, job::parse_duration, "TIME",
             "How long a checkpoint may wait for the job to stand still");
  add_parsed(*sub, "--stop-exit", request.stop_exit, number_between(0, 255), "N",
             "Exit status after ckpt --stop");
  add_parsed(*sub, "--redraw", request.redraw, job::parse_redraw, "HOW",
             "How a program comes to draw its screen: auto, winch or none");
  add_dir(*sub, options->dir);
  sub->callback([options, &action] { action = [options] { return restart(*options); }; });
}

}  // namespace ck::tools
