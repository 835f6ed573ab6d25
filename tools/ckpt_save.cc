// ckpt save, also without the word: asks a job's supervisor for a checkpoint.
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>

#include "runtime/job/adopt_job.h"
#include "runtime/job/find_job.h"
#include "runtime/job/names.h"
#include "runtime/job/settings.h"
#include "tools/ckpt.h"
#include "tools/cli.h"
#include "tools/print.h"
#include "tools/progress_bar.h"

namespace ck::tools {
namespace {

// The supervisor tells how it gets on several times a second.
constexpr std::chrono::seconds kTimeout{30};    // --timeout's default
constexpr std::chrono::seconds kAnswerTime{1};  // of a supervisor that is not stuck
constexpr std::chrono::seconds kEndPatience{30};

struct Options {
  std::string target;
  std::string dir;
  std::string signal;
  bool stop = false;
  bool hold = false;
  bool allow_uncontrolled = false;
  bool json = false;
  bool track = false;
  std::string basis;
  std::optional<int> stop_exit;
  std::optional<job::Compression> compression;
  std::optional<resources::TcpPolicy> tcp;
  std::optional<unsigned> threads;
  std::optional<std::chrono::milliseconds> timeout;
};

// The job's own processes answer to the same signal; whoever else has this pid would die of it.
Result<int> send_signal(const Options& options, job::ControlClient& client) {
  int number = CK_TRY(job::parse_request_signal(options.signal));
  Result<job::wire::StatusReply> status = client.status();
  // A supervisor that is too busy to answer still takes the signal.
  if (status.ok() && status->request_signal() != job::format_signal(number)) {
    return make_error(ErrorKind::kUsage, "job " + status->name() + " is asked with " +
                                             status->request_signal() + ", not with " +
                                             job::format_signal(number));
  }
  RealPid target = client.supervisor();
  if (job::looks_like_pid(options.target)) target = CK_TRY(job::parse_pid(options.target));
  if (kill(target.value, number) != 0) {
    return sys_error("send " + job::format_signal(number) + " to process " + to_string(target));
  }
  return 0;
}

job::wire::Request make_request(const Options& options) {
  job::wire::Request request;
  job::wire::CheckpointRequest& checkpoint = *request.mutable_checkpoint();
  checkpoint.set_stop(options.stop);
  checkpoint.set_hold(options.hold);
  if (!options.basis.empty()) checkpoint.set_basis(std::filesystem::absolute(options.basis));
  checkpoint.set_track(options.track);
  checkpoint.set_allow_uncontrolled(options.allow_uncontrolled);
  if (options.stop_exit) checkpoint.set_stop_exit(*options.stop_exit);
  if (options.compression) checkpoint.set_compress(job::format_compression(*options.compression));
  if (options.tcp) checkpoint.set_tcp(job::format_tcp(*options.tcp));
  if (options.threads) checkpoint.set_threads(*options.threads);
  if (options.timeout) {
    checkpoint.set_timeout_ms(static_cast<std::uint64_t>(options.timeout->count()));
  }
  return request;
}

void print_result(const job::wire::CheckpointReply& done, bool json) {
  if (!done.warning().empty()) {
    std::fprintf(stderr, "%s: %s\n", kCkpt, done.warning().c_str());
  }
  if (json) {
    return print_json_line({{"image", done.image()},
                            {"generation", done.generation()},
                            {"pause_ns", done.pause_ns()},
                            {"total_ns", done.total_ns()},
                            {"bytes_in", done.bytes_in()},
                            {"image_bytes", done.image_bytes()},
                            {"stopped", done.stopped()},
                            {"held", done.held()}});
  }
  if (isatty(STDERR_FILENO) == 1) {
    std::fprintf(stderr, "generation %llu: pause %s, %s of content in %s, image of %s\n",
                 static_cast<unsigned long long>(done.generation()),
                 format_nanoseconds(done.pause_ns()).c_str(), format_bytes(done.bytes_in()).c_str(),
                 format_nanoseconds(done.total_ns()).c_str(),
                 format_bytes(done.image_bytes()).c_str());
  }
  std::puts(done.image().c_str());
}

Result<int> save(const Options& options) {
  std::string folder = CK_TRY(job::jobs_folder(options.dir));
  job::ControlClient client = CK_TRY(job::find_or_start_supervisor(options.target, folder));
  if (!options.signal.empty()) return send_signal(options, client);
  ProgressBar bar;
  // It tells of its progress all the time.
  const auto patience = options.timeout.value_or(kTimeout) + kAnswerTime;
  job::wire::Reply reply = CK_TRY(
      client.ask(make_request(options), patience, [&bar](const job::wire::ProgressReply& progress) {
        bar.show(progress.what(), progress.done_bytes(), progress.total_bytes());
      }));
  bar.clear();
  if (!reply.has_done())
    return make_error(ErrorKind::kRefused,
                      "supervisor " + to_string(client.supervisor()) + " did not understand",
                      "it is of another version of ckrun");
  // Only when the supervisor is gone can the job be restarted.
  if (reply.done().stopped() && !client.wait_for_end(kEndPatience)) {
    std::fprintf(stderr, "%s: supervisor %s has not ended yet\n", kCkpt,
                 to_string(client.supervisor()).c_str());
  }
  print_result(reply.done(), options.json);
  return 0;
}

}  // namespace

void declare_save(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("save", "Checkpoint a job; the image's path is printed");
  auto options = std::make_shared<Options>();
  sub->add_option(
         "PID|JOB", options->target,
         "The supervisor's pid, or that of any process of the job; or the job's name or id")
      ->required();
  CLI::Option* stop = sub->add_flag("--stop", options->stop, "End the job once its image is safe");
  sub->add_flag("--hold", options->hold,
                "The job stands still once its image is safe, until ckpt unhold")
      ->excludes(stop);
  sub->add_option("--on-top-of", options->basis,
                  "Write only what differs from this image of the job; both are needed then")
      ->type_name("IMAGE");
  sub->add_flag(
      "--track", options->track,
      "Note what changes from now on, so that the next image on top of this one is quick");
  add_parsed(*sub, "--stop-exit", options->stop_exit, number_between(0, 255), "N",
             "With --stop: the supervisor's exit status")
      ->needs(stop);
  sub->add_flag("--allow-uncontrolled", options->allow_uncontrolled,
                "Leave out processes that run without the agent, and their children");
  sub->add_option("-s,--signal", options->signal,
                  "Only send this signal, as batch systems do; do not wait")
      ->type_name("SIG");
  add_parsed(*sub, "--compress", options->compression, job::parse_compression, "HOW",
             "none, zstd or zstd:LEVEL, for this image");
  add_parsed(*sub, "--tcp", options->tcp, job::parse_tcp, "HOW",
             "TCP connections to outside of the job: reset, refuse or repair");
  add_parsed(*sub, "--threads", options->threads, number_between(0, 1024), "N",
             "Threads that compress and write");
  add_parsed(*sub, "--timeout", options->timeout, job::parse_duration, "TIME",
             "How long to wait for the job to stand still, or for another checkpoint");
  sub->add_flag("--json", options->json, "Print the result as JSON");
  add_dir(*sub, options->dir);
  sub->callback([options, &action] { action = [options] { return save(*options); }; });
}

}  // namespace ck::tools
