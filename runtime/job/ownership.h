// The right to run a job: its lock, held until release or death, and its newest incarnation.
// Every change to the job's folder is made through it or after check_still_mine(). Thread-safe.
#pragma once

#include <optional>
#include <string>

#include "runtime/base/ids.h"
#include "runtime/base/result.h"
#include "runtime/base/unique_fd.h"
#include "runtime/job/incarnation.h"
#include "runtime/job/job_dir.h"

namespace ck::job {

// A lock file in the job's folder, which must be this user's; not valid: somebody else has it.
Result<UniqueFd> try_lock(const JobDir& job, const char* name);

// The folder's lock, for short work on a job that does not run (ckpt rm). kTryAgain if it is held.
Result<UniqueFd> lock_job(const JobDir& job);

// Of who wants to own a job.
struct Claim {
  bool force = false;  // also if an owner on another host, of which nothing is known, may live
  // That a hand-over between hosts has decided for: another host's owner with a lower counter is
  // over. This life's counter is at least this; nothing: one more than the last one's.
  std::optional<std::uint64_t> counter;
};

// What must hold before anybody may take a job over, asked under its lock.
Status check_owner_gone(const JobDir& job, const Claim& claim);

// That `newer` owns the job, against somebody who claims to be the life `counter`.
Error superseded(const JobDir& job, const Incarnation& newer, std::uint64_t counter);

class Ownership {
 public:
  // Takes the lock and writes the next incarnation, this process. Refused while the owner lives.
  static Result<Ownership> acquire(const JobDir& job, const Claim& claim = {});
  // The same for a job whose supervisor has died and whose program goes on: its root process and
  // control area are the new incarnation's too. kNotFound if there is no such program.
  static Result<Ownership> adopt(const JobDir& job);
  Ownership(Ownership&& other) noexcept;
  Ownership& operator=(Ownership&&) = delete;

  std::uint64_t counter() const { return mine_.counter; }
  const Incarnation& incarnation() const { return mine_; }

  // An Error if a newer incarnation owns the job by now.
  Status check_still_mine() const;
  // Notes the root process, so that nobody starts a second copy after the supervisor's death, and
  // its control area and the keeper of its terminal (if any), so that it can be adopted.
  Status record_root(RealPid root, const std::string& area, RealPid keeper = {});
  // Nothing: nobody knows how the program ended.
  Status write_finished(std::optional<int> wait_status);
  Status forget_finished();  // the job is to run again
  // This life's counter is at least `counter` from now on. An Error if it is higher already.
  Status raise(std::uint64_t counter);
  // In good order: nothing of this life is left. Gives the lock up.
  Status end();
  // The same, but the job goes on elsewhere, where nobody can be asked: Incarnation::is_move(). If
  // it has a newer incarnation already, that stays.
  Status end_moved(const Incarnation& move);

 private:
  Ownership(std::string folder, std::string name, UniqueFd lock, Incarnation mine)
      : folder_(std::move(folder)),
        name_(std::move(name)),
        lock_(std::move(lock)),
        mine_(std::move(mine)) {}
  // This process, on disk, as the owner that `mine` leaves open.
  static Result<Ownership> begin(const JobDir& job, UniqueFd lock, Incarnation mine);
  Status write_incarnation();

  std::string folder_;
  std::string name_;
  UniqueFd lock_;
  Incarnation mine_;
};

// The exit status that ckrun gives for a wait status: 128+N after signal N.
int exit_status_of(int wait_status);

}  // namespace ck::job
