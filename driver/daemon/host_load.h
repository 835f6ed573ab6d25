// What this host says of its load: the kernel's average or the administrator's own figure, with the
// moves of jobs that it perhaps does not show yet. Nobody knows how fast it follows them, so there
// are two figures: one that is not too low, for who takes jobs, and one that is not too high, for
// who gives them away. Between the two nothing moves, and nothing moves back. The daemon's thread
// only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "driver/daemon/host_report.h"
#include "driver/policy/types.h"

namespace ck::daemon {

class HostLoad {
 public:
  // `load_file` instead of the kernel, unless it is empty. One that cannot be read is logged, once,
  // and the kernel's word counts.
  // settled_load is with the jobs that have come.
  void set_in(protocol::wire::HostReport& report, const std::string& load_file);
  // Of each processor, without the jobs that have left.
  double to_give_away(const protocol::wire::HostReport& report) const;

  // `tasks`: what the job adds to the load.
  void job_comes(const std::string& handover, double tasks);
  void job_does_not_come(const std::string& handover);
  void job_left(const std::string& handover, double tasks);

 private:
  void note(const std::string& handover, double tasks);
  std::vector<driver::RecentMove> moves(bool came) const;
  std::map<std::string, driver::RecentMove> moves_;  // by hand-over
  std::string last_failure_;
};

// Of a load file: a number, or three, as /proc/loadavg has them.
Result<Load> parse_load_file(std::string_view text);

}  // namespace ck::daemon
