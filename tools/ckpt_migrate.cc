// ckpt migrate: a job goes on on another host; ckpt drain: all of a host do; ckpt resolve: an
// administrator's word where two hosts that lost each other do not know which of them has a job.
#include <memory>

#include "driver/client/client.h"
#include "runtime/job/names.h"
#include "runtime/job/settings.h"
#include "tools/ckpt.h"
#include "tools/cli.h"
#include "tools/print.h"
#include "tools/progress_bar.h"

namespace ck::tools {
namespace {

namespace wire = protocol::wire;

// ckd tells of its progress all the time; the job's way may take as long as it needs.
constexpr std::chrono::milliseconds kPatience{30000};

struct MigrateOptions {
  std::string target, host, dir;
  std::uint64_t bandwidth = 0;
  bool choose = false;
  bool json = false;
  protocol::wire::MigrateRequest files;  // of it that field alone
};

// "shared", "ship" or "map:OLD=NEW"; the last two may be said both.
Status add_files(MigrateOptions& options, const std::string& text) {
  auto& plan = *options.files.mutable_files();
  if (text == "shared") return {};
  if (text == "ship") {
    plan.set_ship(true);
    return {};
  }
  if (!text.starts_with("map:"))
    return make_error(ErrorKind::kUsage, "'" + text + "' is not a way for files to be there",
                      "write shared, ship or map OLD=NEW");
  const PathMap map = CK_TRY(parse_path_map(std::string_view(text).substr(4)));
  auto& there = *plan.add_maps();
  there.set_from(map.from);
  there.set_to(map.to);
  return {};
}

void show_progress(ProgressBar& bar, const wire::MigrateProgress& progress) {
  std::string what = progress.what();
  if (const auto downtime = static_cast<std::int64_t>(progress.expected_downtime_ns()))
    what += ", downtime ~" + format_nanoseconds(downtime);
  bar.show(what, progress.done_bytes(), progress.total_bytes());
}

Result<wire::ControlReply> ask_for_moves(wire::ControlRequest request) {
  ProgressBar bar;
  return client::ask_daemon(
      std::move(request), kPatience,
      [&bar](const wire::MigrateProgress& progress) { show_progress(bar, progress); });
}

boost::json::object move_json(const wire::MoveRow& row) {
  return {{"job", row.job()},
          {"host", row.host()},
          {"moved", row.moved()},
          {"failed", row.failed()},
          {"reason", row.reason()}};
}

// A line for each job, or JSON; `nothing`: what is said if there is none. True: none has failed.
bool print_moves(const wire::MovesReply& moves, bool as_json, const char* nothing) {
  boost::json::array objects;
  bool good = true;
  for (const wire::MoveRow& row : moves.rows()) {
    objects.push_back(move_json(row));
    good = good && !row.failed();
    if (as_json) continue;
    const std::string where = row.moved() ? " runs on " + row.host() : " stays";
    std::printf("%s%s: %s\n", printable(row.job()).c_str(), where.c_str(),
                printable(row.reason()).c_str());
  }
  if (as_json) {
    print_json_line(objects);
  } else if (moves.rows().empty()) {
    std::puts(nothing);
  }
  return good;
}

Result<int> migrate_auto(const MigrateOptions& options) {
  if (!options.host.empty())
    return make_error(ErrorKind::kUsage,
                      "--auto chooses the host, and " + options.host + " was named, too",
                      "leave one of them out");
  if (options.files.has_files())
    return make_error(ErrorKind::kUsage, "--auto moves jobs among hosts that share their files",
                      "with --files name the host: ckpt migrate JOB HOST");
  wire::ControlRequest request;
  wire::AutoMigrateRequest& wish = *request.mutable_auto_migrate();
  wish.set_target(options.target);
  wish.set_jobs_folder(CK_TRY(job::jobs_folder(options.dir)));
  wish.set_bandwidth(options.bandwidth);
  const wire::ControlReply reply = CK_TRY(ask_for_moves(std::move(request)));
  const bool good = print_moves(reply.moves(), options.json, "no job of yours runs on this host");
  return good ? 0 : exit_code(ErrorKind::kRefused);
}

Result<int> migrate(const MigrateOptions& options) {
  if (options.choose) return migrate_auto(options);
  if (options.target.empty() || options.host.empty())
    return make_error(ErrorKind::kUsage, "a job and a host are wanted",
                      "ckpt migrate JOB HOST, or ckpt migrate --auto");
  wire::ControlRequest request;
  wire::MigrateRequest& wish = *request.mutable_migrate();
  wish.set_target(options.target);
  wish.set_host(options.host);
  wish.set_jobs_folder(CK_TRY(job::jobs_folder(options.dir)));
  wish.set_bandwidth(options.bandwidth);
  *wish.mutable_files() = options.files.files();
  ProgressBar bar;
  const auto show = [&bar](const wire::MigrateProgress& progress) { show_progress(bar, progress); };
  const wire::ControlReply reply = CK_TRY(client::ask_daemon(std::move(request), kPatience, show));
  bar.clear();
  const wire::MigrateReply& done = reply.migrate();
  if (options.json) {
    print_json_line({{"job", done.job()},
                     {"host", options.host},
                     {"handover", done.handover()},
                     {"downtime_ns", done.downtime_ns()},
                     {"total_ns", done.total_ns()},
                     {"sent_bytes", done.sent_bytes()},
                     {"image_bytes", done.image_bytes()},
                     {"files", done.files()},
                     {"file_bytes", done.file_bytes()}});
    return 0;
  }
  std::printf("%s runs on %s: %s sent in %s, it stood still for %s\n",
              printable(done.job()).c_str(), options.host.c_str(),
              format_bytes(done.sent_bytes()).c_str(), format_nanoseconds(done.total_ns()).c_str(),
              format_nanoseconds(done.downtime_ns()).c_str());
  if (done.files() != 0)
    std::printf("%lu files of %s went along\n", done.files(),
                format_bytes(done.file_bytes()).c_str());
  return 0;
}

std::string what_to_do(const wire::HandoverRow& row) {
  return row.leaves() ? "keep" : "take or drop";
}

Result<int> list(bool as_json) {
  wire::ControlRequest request;
  request.mutable_handovers();
  const wire::ControlReply reply = CK_TRY(client::ask_daemon(std::move(request), kPatience));
  std::vector<std::vector<std::string>> rows{
      {"HAND-OVER", "JOB", "PEER", "WAY", "PHASE", "SINCE", "DECIDE"}};
  boost::json::array objects;
  for (const wire::HandoverRow& row : reply.handovers().rows()) {
    const std::string way = row.leaves() ? "leaves" : "comes";
    rows.push_back({row.handover(), printable(row.job()), row.peer(), way, row.phase(),
                    format_unix_ns(row.begun_unix_ms() * 1'000'000), what_to_do(row)});
    objects.push_back({{"handover", row.handover()},
                       {"job", row.job()},
                       {"peer", row.peer()},
                       {"way", way},
                       {"phase", row.phase()},
                       {"begun_unix_ms", row.begun_unix_ms()},
                       {"image", row.image()}});
  }
  if (as_json) {
    print_json_line(objects);
  } else {
    print_table(rows);
  }
  return 0;
}

struct DrainOptions {
  std::string host;
  bool json = false;
};

Result<int> drain(const DrainOptions& options) {
  wire::ControlRequest request;
  request.mutable_drain()->set_host(options.host);
  const wire::ControlReply reply = CK_TRY(ask_for_moves(std::move(request)));
  if (print_moves(reply.moves(), options.json, "no job runs on this host")) return 0;
  return make_error(ErrorKind::kTryAgain, "jobs are left on host " + options.host,
                    "ckd goes on trying, until ckpt undrain");
}

Result<int> undrain(const DrainOptions& options) {
  wire::ControlRequest request;
  request.mutable_drain()->set_host(options.host);
  request.mutable_drain()->set_end(true);
  CK_TRY(client::ask_daemon(std::move(request), kPatience));
  return 0;
}

struct ResolveOptions {
  std::string handover, how;
  bool json = false;
};

Result<int> resolve(const ResolveOptions& options) {
  if (options.handover.empty()) return list(options.json);
  if (options.how.empty())
    return make_error(ErrorKind::kUsage, "the decision is missing", "say keep, take or drop");
  wire::ControlRequest request;
  request.mutable_resolve()->set_handover(options.handover);
  request.mutable_resolve()->set_how(options.how);
  const wire::ControlReply reply = CK_TRY(client::ask_daemon(std::move(request), kPatience));
  std::puts(printable(reply.resolve().text()).c_str());
  return 0;
}

}  // namespace

void declare_migrate(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("migrate", "Let a job go on on another host");
  auto options = std::make_shared<MigrateOptions>();
  sub->add_option("PID|JOB", options->target, "As for save");
  sub->add_option("HOST", options->host, "One of those that ckpt hosts lists");
  sub->add_flag("--auto", options->choose,
                "Let the load policy choose the host; without a job: do what it would do now with "
                "all jobs that you have here");
  add_parsed(*sub, "--bandwidth", options->bandwidth, job::parse_rate, "RATE",
             "Bytes a second at most, such as 50M");
  sub->add_option_function<std::vector<std::string>>(
         "--files",
         [options](const std::vector<std::string>& texts) {
           for (const std::string& text : texts)
             if (Status added = add_files(*options, text); !added.ok())
               throw CLI::ValidationError(added.error().text());
         },
         "shared (default): they are there by the same path; ship: those of the job's own go "
         "along; "
         "map OLD=NEW: what was below OLD is below NEW there, repeatable")
      ->type_name("HOW")
      ->expected(1)
      ->allow_extra_args(false)  // the next word is the job
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
  sub->add_flag("--json", options->json, "Print the result as JSON");
  add_dir(*sub, options->dir);
  sub->callback([options, &action] { action = [options] { return migrate(*options); }; });
}

void declare_drain(CLI::App& app, Action& action) {
  auto options = std::make_shared<DrainOptions>();
  CLI::App* sub =
      app.add_subcommand("drain", "All jobs leave this host, which takes none any more");
  sub->add_option("HOST", options->host, "This host's name, as ckpt hosts lists it")->required();
  sub->add_flag("--json", options->json, "Print the result as JSON");
  sub->callback([options, &action] { action = [options] { return drain(*options); }; });
  sub = app.add_subcommand("undrain", "This host takes jobs again");
  sub->add_option("HOST", options->host, "This host's name, as ckpt hosts lists it")->required();
  sub->callback([options, &action] { action = [options] { return undrain(*options); }; });
}

void declare_resolve(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand(
      "resolve", "List hand-overs that are not over, or decide one whose other host is lost");
  auto options = std::make_shared<ResolveOptions>();
  sub->add_option("HAND-OVER", options->handover, "Its id; without one they are listed");
  sub->add_option("DECISION", options->how,
                  "keep: at the host that it leaves, it goes on there; take: at the host that it "
                  "comes to, it goes on there; drop: there, it is the other host's");
  sub->add_flag("--json", options->json, "Print the list as JSON");
  sub->callback([options, &action] { action = [options] { return resolve(*options); }; });
}

}  // namespace ck::tools
