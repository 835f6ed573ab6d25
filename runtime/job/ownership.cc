#include "runtime/job/ownership.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "runtime/job/process_life.h"
#include "runtime/job/small_file.h"
#include "runtime/proc/stat.h"

namespace ck::job {
namespace {

Status check_folder_is_ours(const std::string& path) {
  struct stat info;
  if (stat(path.c_str(), &info) != 0) return sys_error("open the job's folder " + path);
  if (info.st_uid != geteuid()) {
    return make_error(ErrorKind::kPermission, path + " belongs to another user",
                      "run this as the job's owner, uid " + std::to_string(info.st_uid));
  }
  if ((info.st_mode & 0022) != 0) {
    return make_error(ErrorKind::kPermission, path + " can be written by others",
                      "chmod 700 it, if you trust what is in it");
  }
  return {};
}

// A large process takes a while to end after SIGKILL, and holds the lock meanwhile.
constexpr std::chrono::seconds kEndPatience{10};

void await_dying_owner(const JobDir& job) {
  Result<std::optional<Incarnation>> owner = job.incarnation();
  Result<Host> here = this_host();
  if (!owner.ok() || !owner->has_value() || (*owner)->ended || !here.ok()) return;
  const Incarnation& last = **owner;
  if (last.host.boot_id != here->boot_id || last.host.pid_namespace != here->pid_namespace) return;
  await_end(last.supervisor, last.supervisor_start, kEndPatience);
  await_end(last.root, last.root_start, kEndPatience);
}

Error lives(const JobDir& job, const Incarnation& owner) {
  return make_error(ErrorKind::kTryAgain,
                    "job " + job.info().name + " is running under process " +
                        to_string(owner.supervisor) + " on host " + owner.host.name,
                    "ckpt --stop " + job.info().name + " ends it with a checkpoint");
}

Error somebody_works(const JobDir& job) {
  Result<std::optional<Incarnation>> owner = job.incarnation();
  if (owner.ok() && owner->has_value() && !(*owner)->ended) return lives(job, **owner);
  return make_error(ErrorKind::kTryAgain, "somebody else is at work on job " + job.info().name,
                    "try again in a moment");
}

// A move to this host is word of the very life that begins now.
std::uint64_t next_counter(const std::optional<Incarnation>& before, const Host& here,
                           const Claim& claim) {
  if (!before) return std::max<std::uint64_t>(claim.counter.value_or(0), 1);
  const bool awaited = claim.counter && before->is_move_to(here);
  return std::max(claim.counter.value_or(0), before->counter + (awaited ? 0 : 1));
}

}  // namespace

int exit_status_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

Result<UniqueFd> try_lock(const JobDir& job, const char* name) {
  CK_TRY(check_folder_is_ours(job.path()));
  std::string path = job.file(name);
  UniqueFd fd(open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!fd) return sys_error("open " + path);
  // An open-file-description lock: it works between hosts on NFS, and no close() elsewhere in this
  // process can lose it.
  struct flock whole {};
  whole.l_type = F_WRLCK;
  if (fcntl(fd.get(), F_OFD_SETLK, &whole) != 0) {
    if (errno == EAGAIN || errno == EACCES) return UniqueFd();
    return sys_error("lock " + path);
  }
  // The folder may have been removed while we waited for nobody: a lock without a name is worth
  // nothing.
  struct stat info;
  if (fstat(fd.get(), &info) != 0 || info.st_nlink == 0) {
    return make_error(ErrorKind::kNotFound, "job " + job.info().name + " has just been removed");
  }
  return fd;
}

Error superseded(const JobDir& job, const Incarnation& newer, std::uint64_t counter) {
  return make_error(ErrorKind::kRefused, "job " + job.info().name + " belongs to " +
                                             newer.describe() + ", and this would be incarnation " +
                                             std::to_string(counter));
}

Result<UniqueFd> lock_job(const JobDir& job) {
  await_dying_owner(job);
  UniqueFd lock = CK_TRY(try_lock(job, "lock"));
  if (!lock) return somebody_works(job);
  return lock;
}

Status check_owner_gone(const JobDir& job, const Claim& claim) {
  std::optional<Incarnation> owner = CK_TRY(job.incarnation());
  if (!owner) return {};
  if (claim.counter && owner->counter > *claim.counter)
    return superseded(job, *owner, *claim.counter);
  const Host here = CK_TRY(this_host());
  switch (owner_state(*owner, here)) {
    case OwnerState::kGone:
      return {};
    case OwnerState::kSupervisorLives:
      return lives(job, *owner);
    case OwnerState::kProgramLives:
      return make_error(ErrorKind::kTryAgain,
                        "job " + job.info().name + " still runs as process " +
                            to_string(owner->root) + ", though its supervisor has died",
                        "ckpt " + job.info().name + " checkpoints it, ckpt --stop ends it too");
    case OwnerState::kUnknown:
      break;
  }
  const bool decided =
      claim.counter && (owner->is_move_to(here) || owner->counter < *claim.counter);
  if (claim.force || decided) return {};
  if (owner->is_move())
    return make_error(ErrorKind::kTryAgain,
                      "job " + job.info().name + " has moved to host " + owner->host.name,
                      "it goes on there; --force makes a second copy here");
  return make_error(ErrorKind::kTryAgain,
                    "job " + job.info().name + " may still be running under process " +
                        to_string(owner->supervisor) + " on host " + owner->host.name,
                    "if you know that it is not, use --force");
}

Result<Ownership> Ownership::begin(const JobDir& job, UniqueFd lock, Incarnation mine) {
  mine.supervisor = RealPid(getpid());
  mine.supervisor_start = CK_TRY(proc::read_stat(mine.supervisor)).start_time;
  Ownership ownership(job.path(), job.info().name, std::move(lock), std::move(mine));
  CK_TRY(ownership.write_incarnation());
  return ownership;
}

Result<Ownership> Ownership::acquire(const JobDir& job, const Claim& claim) {
  UniqueFd lock = CK_TRY(lock_job(job));
  CK_TRY(check_owner_gone(job, claim));
  std::optional<Incarnation> before = CK_TRY(job.incarnation());
  Incarnation mine;
  mine.host = CK_TRY(this_host());
  mine.counter = next_counter(before, mine.host, claim);
  return begin(job, std::move(lock), std::move(mine));
}

Result<Ownership> Ownership::adopt(const JobDir& job) {
  UniqueFd lock = CK_TRY(lock_job(job));
  std::optional<Incarnation> last = CK_TRY(job.incarnation());
  if (!last || owner_state(*last, CK_TRY(this_host())) != OwnerState::kProgramLives) {
    return make_error(ErrorKind::kNotFound, "job " + job.info().name + " has no program to adopt");
  }
  Incarnation mine = std::move(*last);
  ++mine.counter;
  return begin(job, std::move(lock), std::move(mine));
}

Ownership::Ownership(Ownership&& other) noexcept = default;

Status Ownership::check_still_mine() const {
  std::optional<Incarnation> newest = CK_TRY(read_incarnation(folder_));
  if (!newest) {
    return make_error(ErrorKind::kRefused, "job " + name_ + " has been removed from " + folder_);
  }
  if (newest->same_life(mine_)) return {};
  return make_error(ErrorKind::kRefused, "job " + name_ + " now belongs to " + newest->describe() +
                                             "; this is incarnation " +
                                             std::to_string(mine_.counter) +
                                             " and changes nothing");
}

Status Ownership::write_incarnation() {
  return replace_file(folder_ + "/incarnation", to_json(mine_));
}

Status Ownership::record_root(RealPid root, const std::string& area, RealPid keeper) {
  CK_TRY(check_still_mine());
  mine_.root = root;
  mine_.area = area;
  mine_.keeper = keeper;
  Result<proc::ProcessStat> stat = proc::read_stat(root);
  mine_.root_start = stat.ok() ? stat->start_time : 0;  // it may have ended already
  return write_incarnation();
}

Status Ownership::write_finished(std::optional<int> wait_status) {
  Finished finished;
  finished.known = wait_status.has_value();
  if (wait_status) {
    finished.exit_status = exit_status_of(*wait_status);
    finished.signal = WIFSIGNALED(*wait_status) ? WTERMSIG(*wait_status) : 0;
  }
  finished.unix_ns = unix_now_ns();
  finished.incarnation = mine_.counter;
  return replace_file(folder_ + "/finished", to_json(finished),
                      [this] { return check_still_mine(); });
}

Status Ownership::forget_finished() {
  CK_TRY(check_still_mine());
  if (unlink((folder_ + "/finished").c_str()) != 0 && errno != ENOENT) {
    return sys_error("remove the finished marker of job " + name_);
  }
  return {};
}

Status Ownership::raise(std::uint64_t counter) {
  CK_TRY(check_still_mine());
  if (counter < mine_.counter)
    return make_error(ErrorKind::kRefused, "job " + name_ + " is incarnation " +
                                               std::to_string(mine_.counter) + " already, above " +
                                               std::to_string(counter));
  if (counter == mine_.counter) return {};
  const std::uint64_t before = std::exchange(mine_.counter, counter);
  Status written = write_incarnation();
  if (!written.ok()) mine_.counter = before;
  return written;
}

Status Ownership::end_moved(const Incarnation& move) {
  std::optional<Incarnation> newest = CK_TRY(read_incarnation(folder_));
  if (newest && newest->same_life(mine_))
    CK_TRY(replace_file(folder_ + "/incarnation", to_json(move)));
  lock_.reset();
  return {};
}

Status Ownership::end() {
  Status status = check_still_mine();
  if (status.ok()) {
    mine_.ended = true;
    status = write_incarnation();
  }
  lock_.reset();
  return status;
}

}  // namespace ck::job
