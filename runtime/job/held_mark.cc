#include "runtime/job/held_mark.h"

#include <unistd.h>

#include "runtime/job/host.h"
#include "runtime/job/ownership.h"
#include "runtime/job/process_life.h"
#include "runtime/job/small_file.h"
#include "runtime/proc/stat.h"

namespace ck::job {
namespace {

constexpr char kFile[] = "held";
constexpr char kLock[] = "held.lock";

}  // namespace

Result<UniqueFd> lock_held(const JobDir& job) {
  UniqueFd lock = CK_TRY(try_lock(job, kLock));
  if (lock) return lock;
  std::string holder;
  Result<std::optional<Incarnation>> held = read_incarnation_file(job.file(kFile));
  if (held.ok() && *held)
    holder = " by process " + to_string((*held)->supervisor) + " on host " + (*held)->host.name;
  return make_error(ErrorKind::kTryAgain,
                    "a copy of job " + job.info().name + " is held already" + holder,
                    "ckpt unhold lets it go on, ckpt unhold --end ends it");
}

Result<HeldMark> HeldMark::make(const JobDir& job) {
  HeldMark mark(job.file(kFile), CK_TRY(lock_held(job)));
  Incarnation mine;
  mine.host = CK_TRY(this_host());
  mine.supervisor = RealPid(getpid());
  mine.supervisor_start = CK_TRY(proc::read_stat(mine.supervisor)).start_time;
  CK_TRY(replace_file(mark.path_, to_json(mine)));
  return mark;
}

HeldMark::~HeldMark() {
  if (lock_) (void)unlink(path_.c_str());
}

Result<std::optional<Incarnation>> living_holder(const JobDir& job) {
  std::optional<Incarnation> held = CK_TRY(read_incarnation_file(job.file(kFile)));
  if (!held) return held;
  const Host here = CK_TRY(this_host());
  const bool lives = held->host.boot_id == here.boot_id &&
                     (held->host.pid_namespace != here.pid_namespace ||
                      process_alive(held->supervisor, held->supervisor_start));
  if (!lives) held.reset();
  return held;
}

}  // namespace ck::job
