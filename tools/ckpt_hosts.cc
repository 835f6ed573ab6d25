// ckpt hosts: the hosts of the cluster; ckpt ls --all-hosts: the user's jobs on them.
#include <cinttypes>
#include <memory>

#include "driver/client/client.h"
#include "driver/protocol/frame.h"
#include "tools/ckpt.h"
#include "tools/cli.h"
#include "tools/print.h"

namespace ck::tools {
namespace {

namespace json = boost::json;
namespace wire = protocol::wire;

// ckd asks up to 32 hosts at once, each for at most two times five seconds by default.
constexpr std::chrono::milliseconds kPatience{120000};

std::string hex(std::uint64_t digest) {
  char text[20];
  std::snprintf(text, sizeof text, "%016" PRIx64, digest);
  return text;
}

std::string format_load(double load) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f", load);
  return text;
}

json::object row_json(const wire::HostRow& row) {
  json::object object{{"name", row.name()},
                      {"address", row.address()},
                      {"state", row.state()},
                      {"reason", row.reason()}};
  if (!row.has_report()) return object;
  const wire::HostReport& report = row.report();
  object["latency_ns"] = row.latency_ns();
  object["version"] = report.version();
  object["kernel"] = report.kernel();
  object["processors"] = report.processors();
  object["load"] = json::array{report.load_1(), report.load_5(), report.load_15()};
  object["memory_bytes"] = report.memory_bytes();
  object["memory_free_bytes"] = report.memory_free_bytes();
  object["cpu_model"] = report.cpu_model();
  object["cpu_digest"] = hex(report.cpu_digest());
  object["cpu_features"] = json::array(report.cpu_features().begin(), report.cpu_features().end());
  object["jobs"] = report.jobs();
  return object;
}

std::vector<std::string> row_cells(const wire::HostRow& row) {
  std::string state = row.state() + (row.reason().empty() ? "" : ": " + row.reason());
  if (!row.has_report()) return {row.name(), "-", "-", "-", "-", "-", "-", printable(state)};
  const wire::HostReport& report = row.report();
  return {row.name(),
          format_load(report.load_1()) + "/" + std::to_string(report.processors()),
          format_bytes(report.memory_free_bytes()),
          format_bytes(report.memory_bytes()),
          hex(report.cpu_digest()).substr(0, 8),
          std::to_string(report.jobs()),
          row.latency_ns() == 0 ? "-" : format_nanoseconds(row.latency_ns()),
          printable(state)};
}

Result<int> hosts(bool as_json) {
  wire::ControlRequest request;
  request.mutable_hosts();
  wire::ControlReply reply = CK_TRY(client::ask_daemon(std::move(request), kPatience));
  std::vector<std::vector<std::string>> rows{
      {"HOST", "LOAD", "FREE", "MEMORY", "CPU", "JOBS", "LATENCY", "STATE"}};
  json::array objects;
  for (const wire::HostRow& row : reply.hosts().rows()) {
    rows.push_back(row_cells(row));
    objects.push_back(row_json(row));
  }
  if (as_json) {
    print_json_line(objects);
  } else {
    print_table(rows);
  }
  return 0;
}

json::object job_json(const std::string& host, const wire::JobRecord& job) {
  return {{"host", host},
          {"id", job.id()},
          {"name", job.name()},
          {"state", job.state()},
          {"supervisor", job.supervisor()},
          {"images", job.images()},
          {"newest_unix_ns", job.newest_unix_ns()},
          {"newest_bytes", job.newest_bytes()},
          {"command", job.command()}};
}

std::vector<std::string> job_cells(const std::string& host, const wire::JobRecord& job) {
  bool none = job.images() == 0;
  return {host,
          printable(job.name()),
          job.id(),
          printable(job.state()),
          job.supervisor() == 0 ? "-" : std::to_string(job.supervisor()),
          std::to_string(job.images()),
          none ? "-" : format_unix_ns(job.newest_unix_ns()),
          none ? "-" : format_bytes(job.newest_bytes()),
          printable(job.command())};
}

}  // namespace

Result<int> list_all_hosts(bool as_json) {
  wire::ControlRequest request;
  request.mutable_all_jobs();
  wire::ControlReply reply = CK_TRY(client::ask_daemon(std::move(request), kPatience));
  std::vector<std::vector<std::string>> rows{
      {"HOST", "NAME", "ID", "STATE", "PID", "IMAGES", "NEWEST", "SIZE", "COMMAND"}};
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
