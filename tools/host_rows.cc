#include "tools/host_rows.h"

#include <cinttypes>

#include "tools/print.h"

namespace ck::tools {

namespace json = boost::json;
namespace wire = protocol::wire;

namespace {

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

}  // namespace

std::vector<std::string> host_heading() {
  return {"HOST", "LOAD", "FREE", "MEMORY", "CPU", "JOBS", "LATENCY", "STATE"};
}

json::object host_json(const wire::HostRow& row) {
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
  object["settled_load"] = report.settled_load();
  object["draining"] = report.draining();
  object["jobs"] = report.jobs();
  return object;
}

std::vector<std::string> host_cells(const wire::HostRow& row) {
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

std::vector<std::string> job_heading() {
  return {"HOST", "NAME", "ID", "STATE", "PID", "IMAGES", "NEWEST", "SIZE", "COMMAND"};
}

json::object job_json(const std::string& host, const wire::JobRecord& job) {
  return {{"host", host},
          {"id", job.id()},
          {"name", job.name()},
          {"class", job.job_class()},
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

}  // namespace ck::tools
