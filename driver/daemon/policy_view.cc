#include "driver/daemon/policy_view.h"

#include <algorithm>

namespace ck::daemon {
namespace {

using protocol::wire::HostReport;

// Both lists are sorted.
bool has_all_features(const HostReport& host, const HostReport& of) {
  return std::includes(host.cpu_features().begin(), host.cpu_features().end(),
                       of.cpu_features().begin(), of.cpu_features().end());
}

}  // namespace

driver::HostView view_of(const HostReport& report, driver::Instant now) {
  driver::HostView view;
  view.name = report.host();
  view.processors = report.processors();
  view.load = report.settled_load();
  view.memory_free = report.memory_free_bytes();
  view.features = kAllFeatures;
  view.draining = report.draining();
  view.told = now;
  return view;
}

std::vector<driver::HostView> views_of_peers(const protocol::wire::HostsReply& hosts,
                                             driver::Instant now) {
  std::vector<driver::HostView> views;
  for (int i = 1; i < hosts.rows_size(); ++i) {
    const protocol::wire::HostRow& row = hosts.rows(i);
    if (!row.has_report()) continue;
    driver::HostView view = view_of(row.report(), now);
    view.name = row.name();
    if (!has_all_features(row.report(), hosts.rows(0).report())) view.features = 0;
    views.push_back(std::move(view));
  }
  return views;
}

driver::JobView view_of(const driver::migrate::wire::RunningJob& job) {
  driver::JobView view;
  view.id = job.id();
  view.job_class = job.job_class();
  view.tasks = job.tasks();
  view.memory = job.memory_bytes();
  view.features = kAllFeatures;
  view.arrived = driver::Instant(std::chrono::milliseconds(job.arrived_unix_ms()));
  view.stopped = job.suspended_by() == "load";
  view.suspended = job.suspended_by() == "user";
  return view;
}

}  // namespace ck::daemon
