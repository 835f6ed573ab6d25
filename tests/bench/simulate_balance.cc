// Load balancing of a cluster on paper, with and without: what it moves, how fair it is, how soon
// it is in balance. simulate_balance --help
#include <CLI/CLI.hpp>
#include <cstdio>

#include "driver/policy/simulation.h"

namespace {

void print(const char* name, const ck::driver::SimulationReport& report) {
  std::printf("%-10s %9u %8u %9u %8u %9.3f %9.2f %9.2f %11ld %8u\n", name, report.finished,
              report.moves, report.most_moves, report.returns, report.fairness, report.slowdown,
              report.worst_slowdown, static_cast<long>(report.time_to_balance.count()),
              report.left_on_drained);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Load balancing of a cluster on paper");
  ck::driver::SimulationOptions options;
  app.add_option("--hosts", options.hosts, "")->capture_default_str();
  app.add_option("--jobs", options.jobs, "")->capture_default_str();
  app.add_option("--processors", options.processors, "of each host")->capture_default_str();
  app.add_option("--seed", options.seed, "")->capture_default_str();
  app.add_option("--busy-share", options.busy_share, "of the hosts get all jobs at first")
      ->capture_default_str();
  app.add_option("--drained", options.drained, "hosts, after half of the time")
      ->capture_default_str();
  app.add_option("--loadsched", options.job_class.loadsched, "")->capture_default_str();
  app.add_option("--loadcheckpoint", options.job_class.loadcheckpoint, "")->capture_default_str();
  app.add_option("--loadstop", options.job_class.loadstop, "")->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  if (const ck::Status fit = check("all", options.job_class); !fit.ok()) {
    std::fprintf(stderr, "simulate_balance: %s\n", fit.error().text().c_str());
    return ck::exit_code(fit.error().kind);
  }
  std::printf("%u hosts of %u processors, %u jobs\n", options.hosts, options.processors,
              options.jobs);
  std::printf("%-10s %9s %8s %9s %8s %9s %9s %9s %11s %8s\n", "", "finished", "moves", "of one",
              "returns", "fairness", "slowdown", "p95", "balanced s", "undrained");
  for (bool balance : {false, true}) {
    options.balance = balance;
    print(balance ? "balanced" : "alone", simulate(options));
  }
  return 0;
}
