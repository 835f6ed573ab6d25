// Freezes a job: its root process, all descendants, and its orphans, as one consistent cut. Engine
// thread only.
//
// Parents stop before their children are looked at, so a stopped process has no child that is not
// in the list, and a parent that waits for its vfork child (which only the child's exec ends) finds
// it running. All stop before any is parked.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "runtime/capture/freeze.h"
#include "runtime/proc/stat.h"

namespace ck::capture {

// A process that has ended and was not waited for yet.
struct EndedProcess {
  proc::ProcessStatus status;
  proc::ProcessStat stat;
  VirtualPid virtual_pid, group, session;
};

class FrozenJob {
 public:
  // `known_whole`: processes of which a look just before has found no thread that is apart
  // (apart.h): they are not looked at again while all stands still.
  static Result<std::unique_ptr<FrozenJob>> freeze(RealPid root, ControlArea& area,
                                                   Deadline deadline, bool allow_uncontrolled,
                                                   std::set<pid_t> known_whole = {});
  ~FrozenJob() = default;  // the job goes on

  Status thaw();
  // See FrozenProcess::kill().
  void kill();
  // Else it goes on by itself when the supervisor dies.
  Status die_with_supervisor(bool dies);
  // Whether a failure is explained by a process that has ended, or is just being killed.
  bool lost_one(const Error& failure) const;
  bool has(RealPid process) const;  // frozen, as one of it

  std::vector<std::unique_ptr<FrozenProcess>> processes;  // the root first, parents before children
  std::vector<EndedProcess> ended;
  struct LeftOut {
    RealPid pid;
    Error why;
  };
  std::vector<LeftOut> left_out;  // they run on

 private:
  FrozenJob(RealPid root, ControlArea& area, Deadline deadline, bool allow_uncontrolled)
      : root_(root), area_(area), deadline_(deadline), allow_uncontrolled_(allow_uncontrolled) {}
  Result<bool> stop_tree(std::string& obstacle);
  Result<bool> stop_level(const std::vector<RealPid>& level, std::string& obstacle);
  std::vector<RealPid> unseen(const std::vector<RealPid>& pids);
  Result<std::vector<RealPid>> children_of_all() const;
  bool may_leave_out(const FrozenProcess& process, const Error& reason);
  void keep_stuck();
  Status wait_for_stuck(std::string& obstacle);
  Status note_ended(RealPid pid);
  Status park_all();
  Result<bool> stop_and_park(std::string& obstacle);

  RealPid root_;
  ControlArea& area_;
  ino_t area_inode_ = 0;
  Deadline deadline_;
  bool allow_uncontrolled_;
  std::set<pid_t> known_whole_;
  std::set<pid_t> seen_;
  // Those with a thread in such a wait, by pid. They are kept over attempts, stopped or about to:
  // the thread cannot be detached there, and may be in the next wait when it is looked at again.
  std::map<pid_t, std::unique_ptr<FrozenProcess>> stuck_;
  std::set<pid_t> were_stuck_;
  std::map<pid_t, int> dumpable_was_;  // of processes that were made dumpable in earlier attempts
};

// The job's members that are no descendants of the root: what `reaper`, the supervisor or the
// process that stands for it in a namespace, has inherited. Where it is neither, those belong to
// the job that have mapped the file of inode `area`. Any thread.
Result<std::vector<RealPid>> members_below(RealPid reaper, ino_t area);
// The same with the root first.
Result<std::vector<RealPid>> top_members(RealPid root, ino_t area);

// All of the job as far as one look tells; nothing is stopped. Parents before children. Any thread.
Result<std::vector<RealPid>> job_members(RealPid root, ino_t area);

}  // namespace ck::capture
