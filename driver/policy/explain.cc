// What decide() and place() have thought, in words.
#include <algorithm>
#include <cstdio>

#include "driver/policy/fit.h"

namespace ck::driver {

namespace {

constexpr std::size_t kMostNamed = 4;  // hosts in a line

std::string seconds_text(std::chrono::milliseconds duration) {
  return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(duration).count()) + " s";
}

std::string why_not_there(const JobView& job, const HostView& host, const JobClasses& classes,
                          Instant now, const BalanceOptions& options) {
  if (is_stale(host, now, options)) return "host " + host.name + " does not answer";
  const Status status = accepts(host, job, classes, options);
  if (!status.ok()) return status.error().message;
  return "host " + host.name + " has a load of " + load_text(host.load) +
         ", too little below that here";
}

}  // namespace

std::string load_text(double load) {
  char buffer[32];
  std::snprintf(buffer, sizeof buffer, "%.2f", load);
  return buffer;
}

std::string why_never(const JobView& job, const JobClasses& classes) {
  const JobClass* its = class_of(job, classes);
  if (its == nullptr) return "its class " + job.job_class + " is not in ckd.toml";
  if (its->checkpointmode != Mode::kNone) return {};
  return "its class " + job.job_class + " has checkpointmode 0";
}

std::string why_no_host(const JobView& job, std::span<const HostView> hosts,
                        const JobClasses& classes, Instant now, const BalanceOptions& options) {
  if (hosts.empty()) return "there is no other host";
  std::string line = "no host takes it: ";
  for (std::size_t i = 0; i < hosts.size() && i < kMostNamed; ++i)
    line += (i > 0 ? "; " : "") + why_not_there(job, hosts[i], classes, now, options);
  if (hosts.size() > kMostNamed)
    line += "; and " + std::to_string(hosts.size() - kMostNamed) + " more";
  return line;
}

std::string why_it_stays(const Situation& situation, const JobView& job,
                         const BalanceOptions& options) {
  const std::string never = why_never(job, situation.classes);
  if (!never.empty()) return never;
  const JobClass& its = *class_of(job, situation.classes);
  if (!situation.self.draining) {
    if (job.suspended) return "its user has suspended it";
    if (job.pinned) return "its user forbids moves by load";
    if (situation.self.load < its.loadcheckpoint)
      return "load " + load_text(situation.self.load) + " here is below loadcheckpoint " +
             load_text(its.loadcheckpoint) + " of class " + job.job_class;
    if (job.tasks < options.least_tasks) return "it does not load this host";
    const auto stayed = situation.now - job.arrived;
    if (stayed < its.minimum_stay)
      return "it came, or could not move, " + seconds_text(stayed) +
             " ago, and the minimum stay is " + seconds_text(its.minimum_stay);
  }
  const auto takes_it = [&](const HostView& host) {
    return fits(job, host, situation.self.load - options.margin, situation.classes, situation.now,
                options);
  };
  if (std::none_of(situation.peers.begin(), situation.peers.end(), takes_it))
    return why_no_host(job, situation.peers, situation.classes, situation.now, options);
  return situation.moves_under_way >= options.moves_at_once
             ? "other jobs are on their way"
             : "each look moves only so many (at_once in ckd.toml)";
}

}  // namespace ck::driver
