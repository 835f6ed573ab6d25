// ckpt check: what in a running job would not survive a restart here.
#include <cstdio>
#include <memory>

#include "runtime/capture/checkpoint.h"
#include "runtime/job/find_job.h"
#include "runtime/job/names.h"
#include "tools/ckpt.h"
#include "tools/cli.h"
#include "tools/print.h"

namespace ck::tools {
namespace {

struct Options {
  std::string target;
  std::string dir;
  bool json = false;
};

void print_json(const std::vector<capture::Finding>& findings) {
  boost::json::array list;
  for (const capture::Finding& finding : findings) {
    list.push_back(boost::json::object{{"pid", finding.pid.value},
                                       {"object", finding.object},
                                       {"reason", finding.reason},
                                       {"advice", finding.advice},
                                       {"fatal", finding.fatal}});
  }
  print_json_line(list);
}

void print_text(const std::vector<capture::Finding>& findings) {
  for (const capture::Finding& finding : findings) {
    std::string line = (finding.fatal ? "would be lost: process " : "would differ: process ") +
                       to_string(finding.pid) + ", " + finding.object + ": " + finding.reason;
    if (!finding.advice.empty()) line += " (" + finding.advice + ")";
    std::puts(printable(line).c_str());
  }
  if (findings.empty()) std::puts("everything in this job would survive a restart here");
}

Result<int> check(const Options& options) {
  std::string folder = CK_TRY(job::jobs_folder(options.dir));
  job::ControlClient client = CK_TRY(job::find_supervisor(options.target, folder));
  job::wire::StatusReply status = CK_TRY(client.status());
  std::vector<capture::Finding> findings = CK_TRY(capture::survey(RealPid(status.root())));
  options.json ? print_json(findings) : print_text(findings);
  for (const capture::Finding& finding : findings) {
    if (finding.fatal) return exit_code(ErrorKind::kRefused);
  }
  return 0;
}

}  // namespace

void declare_check(CLI::App& app, Action& action) {
  CLI::App* sub =
      app.add_subcommand("check", "Tell what in a job would not survive a restart; stops nothing");
  auto options = std::make_shared<Options>();
  sub->add_option("PID|JOB", options->target, "A process of the job, or the job's name or id")
      ->required();
  sub->add_flag("--json", options->json, "Print JSON");
  add_dir(*sub, options->dir);
  sub->callback([options, &action] { action = [options] { return check(*options); }; });
}

}  // namespace ck::tools
