#include "runtime/job/moved_job.h"

#include <signal.h>
#include <sys/stat.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "runtime/capture/frozen_job.h"
#include "runtime/job/find_job.h"
#include "runtime/job/ownership.h"
#include "runtime/job/process_life.h"
#include "runtime/job/small_file.h"
#include "runtime/proc/stat.h"
#include "runtime/proc/tasks.h"

namespace ck::job {
namespace {

using std::chrono::steady_clock;
constexpr std::chrono::seconds kEndPatience{10};  // after SIGKILL

struct Program {
  RealPid root;
  RealPid reaper;  // inherits what the root leaves behind
  ino_t area;
};

// Where a process ends while its children are looked for, the next look finds those below the
// reaper.
Result<std::vector<RealPid>> living_processes(const Program& program) {
  std::vector<RealPid> all = CK_TRY(capture::members_below(program.reaper, program.area));
  all.push_back(program.root);
  for (std::size_t i = 0; i < all.size(); ++i)
    if (const auto children = proc::read_children(all[i]); children.ok())
      for (RealPid child : *children)
        if (std::find(all.begin(), all.end(), child) == all.end()) all.push_back(child);
  std::erase_if(all, [](RealPid pid) { return !proc::any_thread_alive(pid); });
  return all;
}

Status end_one(RealPid pid) {
  const Result<proc::ProcessStat> stat = proc::read_stat(pid);
  if (!stat.ok()) return {};
  if (kill(pid.value, SIGKILL) != 0 && errno != ESRCH)
    return sys_error("end process " + to_string(pid));
  await_end(pid, stat->start_time, kEndPatience);
  return {};
}

Status end_program(const Incarnation& owner) {
  struct stat area {};
  (void)stat(owner.area.c_str(), &area);
  const Result<proc::ProcessStat> root = proc::read_stat(owner.root);
  const Program program{owner.root, root.ok() ? root->ppid : RealPid(), area.st_ino};
  const auto give_up = steady_clock::now() + kEndPatience;
  for (;;) {
    const std::vector<RealPid> left = CK_TRY(living_processes(program));
    if (left.empty()) return {};
    if (steady_clock::now() >= give_up)
      return make_error(ErrorKind::kTryAgain,
                        "process " + to_string(left.front()) + " was killed and does not end");
    for (RealPid pid : left) CK_TRY(end_one(pid));
  }
}

bool is_elsewhere_already(const Incarnation& owner, const Incarnation& move, const Host& here) {
  return owner.counter >= move.counter && owner.host.boot_id != here.boot_id &&
         (owner.counter > move.counter || owner.host.name == move.host.name);
}

}  // namespace

Status note_move(const JobDir& job, const Incarnation& move) {
  const Host here = CK_TRY(this_host());
  std::optional<Incarnation> owner = CK_TRY(job.incarnation());
  if (owner && is_elsewhere_already(*owner, move, here)) return {};
  UniqueFd lock = CK_TRY(lock_job(job));
  if (std::optional<Finished> finished = CK_TRY(job.finished()))
    return make_error(ErrorKind::kRefused, "job " + job.info().name + " has finished, with " +
                                               status_text(*finished) + ": it cannot move");
  owner = CK_TRY(job.incarnation());
  if (owner && owner->counter >= move.counter) return superseded(job, *owner, move.counter);
  if (owner && owner_state(*owner, here) == OwnerState::kProgramLives) CK_TRY(end_program(*owner));
  CK_TRY(check_owner_gone(job, {}));
  return replace_file(job.file("incarnation"), to_json(move));
}

Status note_move(const std::string& target, const std::string& jobs_folder,
                 const Incarnation& move) {
  if (!looks_like_pid(target)) return note_move(CK_TRY(JobDir::find(jobs_folder, target)), move);
  std::optional<JobDir> orphan = CK_TRY(find_orphan(target, jobs_folder));
  if (orphan) return note_move(*orphan, move);
  return make_error(ErrorKind::kNotFound, "process " + target + " is none of a job's",
                    "name the job");
}

}  // namespace ck::job
