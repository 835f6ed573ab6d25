#include "driver/daemon/host_load.h"

#include <cmath>
#include <sstream>

#include "driver/daemon/event_log.h"
#include "driver/journal/journal.h"
#include "runtime/job/small_file.h"

namespace ck::daemon {
namespace {

constexpr std::chrono::minutes kForgotten{10};  // the average has long seen it
constexpr double kHighestLoad = 1e6;

bool possible(double load) {
  return load >= 0 && load <= kHighestLoad;  // false for NaN, too
}

Result<Load> read_load_file(const std::string& path) {
  Result<Load> load = parse_load_file(CK_TRY(job::read_small_file(path)));
  if (!load.ok()) return std::move(load).error().within(path);
  return load;
}

}  // namespace

Result<Load> parse_load_file(std::string_view text) {
  std::istringstream words{std::string(text)};
  Load load;
  if (!(words >> load.one) || !possible(load.one))
    return make_error(ErrorKind::kUsage, "it does not begin with a load");
  if (!(words >> load.five) || !possible(load.five)) load.five = load.one;
  if (!(words >> load.fifteen) || !possible(load.fifteen)) load.fifteen = load.five;
  return load;
}

void HostLoad::set_in(protocol::wire::HostReport& report, const std::string& load_file) {
  if (!load_file.empty()) {
    const Result<Load> load = read_load_file(load_file);
    const std::string failure = load.ok() ? "" : load.error().text();
    if (!load.ok() && failure != last_failure_)
      log_warning("load file not used", {{"reason", failure}});
    last_failure_ = failure;
    if (load.ok()) {
      report.set_load_1(load->one);
      report.set_load_5(load->five);
      report.set_load_15(load->fifteen);
    }
  }
  const driver::Instant now = driver::journal::now();
  std::erase_if(moves_, [&](const auto& move) { return now - move.second.when > kForgotten; });
  report.set_settled_load(
      driver::settled_load(report.load_1(), report.processors(), moves(true), now));
}

double HostLoad::to_give_away(const protocol::wire::HostReport& report) const {
  return driver::settled_load(report.load_1(), report.processors(), moves(false),
                              driver::journal::now());
}

std::vector<driver::RecentMove> HostLoad::moves(bool came) const {
  std::vector<driver::RecentMove> moves;
  for (const auto& [handover, move] : moves_)
    if ((move.tasks > 0) == came) moves.push_back(move);
  return moves;
}

void HostLoad::note(const std::string& handover, double tasks) {
  moves_[handover] = {tasks, driver::journal::now()};
}

void HostLoad::job_comes(const std::string& handover, double tasks) {
  note(handover, tasks);
}

void HostLoad::job_does_not_come(const std::string& handover) {
  moves_.erase(handover);
}

void HostLoad::job_left(const std::string& handover, double tasks) {
  note(handover, -tasks);
}

}  // namespace ck::daemon
