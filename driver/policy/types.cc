#include "driver/policy/types.h"

#include <algorithm>
#include <cmath>

namespace ck::driver {

namespace {
constexpr double kAverageSeconds = 60;
}

Status check(std::string_view name, const JobClass& job_class) {
  const auto wrong = [&](const std::string& what) {
    return make_error(ErrorKind::kUsage, "job class " + std::string(name) + ": " + what);
  };
  if (!(job_class.loadsched > 0)) return wrong("loadsched must be above 0");
  if (!(job_class.loadsched <= job_class.loadcheckpoint))
    return wrong("loadsched must not be above loadcheckpoint, or jobs would bounce");
  if (!(job_class.loadcheckpoint < job_class.loadstop))
    return wrong("loadcheckpoint must be below loadstop");
  if (job_class.minimum_stay < std::chrono::seconds(0))
    return wrong("the minimum stay must not be negative");
  return {};
}

double settled_load(double average, unsigned processors, const std::vector<RecentMove>& moves,
                    Instant now) {
  double tasks = average;
  for (const RecentMove& move : moves) {
    const double age = std::chrono::duration<double>(now - move.when).count();
    tasks += move.tasks * std::exp(-std::max(age, 0.0) / kAverageSeconds);
  }
  return std::max(tasks, 0.0) / std::max(processors, 1u);
}

}  // namespace ck::driver
