// Load balancing as pure decisions: each host decides for its own jobs, from what it has last heard
// of the others; the host that is chosen decides again whether it takes the job. Nobody decides for
// all. Any thread.
//
// Why it settles: a host takes jobs only below loadsched and gives them away only from
// loadcheckpoint on, which is not lower; a job is moved only where it will be better off by a
// margin and when it has stayed for a while; and a host draws a few fit targets at random and takes
// the best of those, so that many overloaded hosts do not all choose the same one.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "driver/policy/types.h"

namespace ck::driver {

struct BalanceOptions {
  double margin = 0.25;            // by which the load must be lower at the target, after the move
  unsigned moves_at_once = 1;      // of one host
  std::chrono::seconds stale{60};  // older views of peers do not count
  double least_memory_reserve = 0.1;  // of a target's free memory, that stays free
  double least_tasks = 0.1;           // a job that has fewer does not load its host
};

struct Decision {
  enum class Kind { kMigrate, kStop, kContinue };
  Kind kind = Kind::kMigrate;
  std::string job;
  std::string target;  // of a migration
  std::string reason;  // for the log, one line
};

struct Situation {
  const HostView& self;
  std::span<const JobView> jobs;  // that run here
  std::span<const HostView> peers;
  const JobClasses& classes;  // a job whose class is not there is left alone
  Instant now;
  std::uint64_t random = 0;  // any number, another one each time
  unsigned moves_under_way = 0;
  // That self.load may be too low by: it counts without what has just been stopped or has just
  // left, which is too early for letting a job go on.
  double lately_gone = 0;
};
std::vector<Decision> decide(const Situation& situation, const BalanceOptions& options = {});

// The best host for a job that is at none yet; empty: none may take it.
std::string place(const JobView& job, std::span<const HostView> hosts, const JobClasses& classes,
                  Instant now, std::uint64_t random, const BalanceOptions& options = {});

// Whether this host takes the job. An Error of kind kRefused says why not.
Status accepts(const HostView& self, const JobView& job, const JobClasses& classes,
               const BalanceOptions& options = {});

// For people, one line: why decide() does not move the job, and why place() finds no host for it.
std::string why_it_stays(const Situation& situation, const JobView& job,
                         const BalanceOptions& options = {});
std::string why_no_host(const JobView& job, std::span<const HostView> hosts,
                        const JobClasses& classes, Instant now, const BalanceOptions& options = {});
// Why the job may be moved nowhere, by load or from a drained host; empty: it may.
std::string why_never(const JobView& job, const JobClasses& classes);
std::string load_text(double load);  // "1.50"

}  // namespace ck::driver
