// ckpt hosts: the hosts of the cluster; ckpt ls --all-hosts: the user's jobs on them.
#include <memory>

#include "driver/client/client.h"
#include "driver/protocol/frame.h"
#include "tools/ckpt.h"
#include "tools/cli.h"
#include "tools/host_rows.h"
#include "tools/print.h"

namespace ck::tools {
namespace {

namespace json = boost::json;
namespace wire = protocol::wire;

// ckd asks up to 32 hosts at once, each for at most two times five seconds by default.
constexpr std::chrono::milliseconds kPatience{120000};

Result<int> hosts(bool as_json) {
  wire::ControlRequest request;
  request.mutable_hosts();
  wire::ControlReply reply = CK_TRY(client::ask_daemon(std::move(request), kPatience));
  std::vector<std::vector<std::string>> rows{host_heading()};
  json::array objects;
  for (const wire::HostRow& row : reply.hosts().rows()) {
    rows.push_back(host_cells(row));
    objects.push_back(host_json(row));
  }
  if (as_json) {
    print_json_line(objects);
  } else {
    print_table(rows);
  }
  return 0;
}

}  // namespace

Result<int> list_all_hosts(bool as_json) {
  wire::ControlRequest request;
  request.mutable_all_jobs();
  wire::ControlReply reply = CK_TRY(client::ask_daemon(std::move(request), kPatience));
  std::vector<std::vector<std::string>> rows{job_heading()};
  json::array objects;
  int status = 0;
  for (const wire::HostJobs& host : reply.all_jobs().hosts()) {
    if (host.has_failure()) {
      status = fail(kCkpt, protocol::error_of(host.failure()).within("host " + host.name()));
    }
    for (const wire::JobRecord& job : host.jobs().jobs()) {
      rows.push_back(job_cells(host.name(), job));
      objects.push_back(job_json(host.name(), job));
    }
    if (host.jobs().truncated()) {
      status = fail(kCkpt, make_error(ErrorKind::kRefused,
                                      "host " + host.name() + " has more jobs than are listed",
                                      "run ckpt ls there"));
    }
  }
  if (as_json) {
    print_json_line(objects);
  } else {
    print_table(rows);
  }
  return status;
}

void declare_hosts(CLI::App& app, Action& action) {
  CLI::App* sub = app.add_subcommand("hosts", "List the hosts of the cluster");
  auto as_json = std::make_shared<bool>(false);
  sub->add_flag("--json", *as_json, "Print JSON");
  sub->callback([as_json, &action] { action = [as_json] { return hosts(*as_json); }; });
}

}  // namespace ck::tools
