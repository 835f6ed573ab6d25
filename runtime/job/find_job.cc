#include "runtime/job/find_job.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <set>
#include <sstream>
#include <string_view>

#include "runtime/abi/control_area.h"
#include "runtime/job/held_mark.h"
#include "runtime/job/host.h"
#include "runtime/job/process_life.h"
#include "runtime/job/small_file.h"
#include "runtime/proc/stat.h"
#include "runtime/proc/tasks.h"

namespace ck::job {
namespace {

constexpr int kDeepestTree = 256;

// A program that runs under the agent, with nobody above it that answers.
bool has_agent(RealPid pid) {
  Result<std::string> environment =
      read_small_file("/proc/" + to_string(pid) + "/environ", 8u << 20);
  if (!environment.ok()) return false;
  std::string entry = std::string(1, '\0') + abi::kAreaVariable + "=";
  return (std::string(1, '\0') + *environment).find(entry) != std::string::npos;
}

Error no_supervisor(RealPid pid) {
  if (has_agent(pid)) {
    return make_error(ErrorKind::kNotFound,
                      "the supervisor of process " + to_string(pid) + " has ended",
                      "ckpt save or ckpt resume starts a new one; if the job's folder is not the "
                      "usual one, name it with --dir");
  }
  return make_error(ErrorKind::kNotFound, "process " + to_string(pid) + " does not belong to a job",
                    "only programs that were started with ckrun can be checkpointed");
}

}  // namespace

bool looks_like_pid(const std::string& target) {
  return !target.empty() &&
         std::all_of(target.begin(), target.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Result<RealPid> parse_pid(const std::string& target) {
  pid_t pid = 0;
  auto [end, error] = std::from_chars(target.data(), target.data() + target.size(), pid);
  if (error != std::errc() || end != target.data() + target.size() || pid <= 0) {
    return make_error(ErrorKind::kUsage, "'" + target + "' is not a process id");
  }
  return RealPid(pid);
}

namespace {

// Below a process that only types and shows for a job with a terminal of its own: its keeper's
// child.
std::optional<Result<ControlClient>> find_behind_client(std::uint64_t pid_namespace,
                                                        RealPid client) {
  const auto children = [](RealPid pid) {
    Result<std::vector<RealPid>> found = proc::read_children(pid);
    return found.ok() ? *std::move(found) : std::vector<RealPid>();
  };
  for (RealPid keeper : children(client)) {
    Result<proc::ProcessStat> stat = proc::read_stat(keeper);
    if (!stat.ok() || stat->name != "ckrun-keeper") continue;
    for (RealPid child : children(keeper)) {
      Result<ControlClient> found = ControlClient::connect(pid_namespace, child);
      if (found.ok() || found.error().kind != ErrorKind::kNotFound) return found;
    }
  }
  return std::nullopt;
}

}  // namespace

Result<ControlClient> find_supervisor(RealPid pid) {
  std::uint64_t pid_namespace = CK_TRY(this_host()).pid_namespace;
  if (auto behind = find_behind_client(pid_namespace, pid)) return std::move(*behind);
  RealPid current = pid;
  for (int depth = 0; current && depth < kDeepestTree; ++depth) {
    Result<proc::ProcessStat> stat = proc::read_stat(current);
    if (!stat.ok()) {
      // A parent may end while we climb; the process that was asked for must be there.
      if (current != pid) return no_supervisor(pid);
      return make_error(ErrorKind::kNotFound, "there is no process " + to_string(pid));
    }
    Result<ControlClient> client = ControlClient::connect(pid_namespace, current);
    if (client.ok() || client.error().kind != ErrorKind::kNotFound) return client;
    current = stat->ppid;
  }
  return no_supervisor(pid);
}

namespace {

Result<ControlClient> find_owner(const JobDir& job) {
  const std::string& name = job.info().name;
  std::optional<Finished> finished = CK_TRY(job.finished());
  if (finished) {
    return make_error(ErrorKind::kNotFound,
                      "job " + name + " has finished, with " + status_text(*finished));
  }
  std::optional<Incarnation> owner = CK_TRY(job.incarnation());
  Error not_running = make_error(ErrorKind::kNotFound, "job " + name + " is not running",
                                 "bring it back with: ckpt restart " + name);
  if (!owner || owner->ended) return not_running;
  Host here = CK_TRY(this_host());
  if (owner->host.boot_id != here.boot_id) {
    return make_error(ErrorKind::kNotFound,
                      "job " + name + " was last seen on host " + owner->host.name,
                      "run ckpt there");
  }
  if (owner->host.pid_namespace == here.pid_namespace &&
      !process_alive(owner->supervisor, owner->supervisor_start)) {
    if (process_alive(owner->root, owner->root_start)) return no_supervisor(owner->root);
    return not_running;
  }
  Result<ControlClient> client =
      ControlClient::connect(owner->host.pid_namespace, owner->supervisor);
  if (client.ok() || client.error().kind != ErrorKind::kNotFound) return client;
  if (owner->host.pid_namespace != here.pid_namespace) return not_running;
  return make_error(ErrorKind::kTryAgain, "job " + name + " is just being started or ended",
                    "try again in a moment");
}

}  // namespace

Result<ControlClient> find_supervisor(const JobDir& job) {
  Result<ControlClient> owner = find_owner(job);
  if (owner.ok() || owner.error().kind != ErrorKind::kNotFound) return owner;
  std::optional<Incarnation> holder = CK_TRY(living_holder(job));
  if (!holder) return owner;
  return ControlClient::connect(holder->host.pid_namespace, holder->supervisor);
}

namespace {

constexpr std::size_t kMostSockets = 256u << 20;  // bytes of text

}  // namespace

// By the names of their sockets (proc_net(5)).
Result<std::vector<RealPid>> list_supervisors() {
  const std::uint64_t pid_namespace = CK_TRY(this_host()).pid_namespace;
  const std::string prefix = "@" + socket_name(pid_namespace, RealPid(0)).substr(1);
  const std::string before_pid = prefix.substr(0, prefix.size() - 1);
  std::istringstream sockets(CK_TRY(read_small_file("/proc/net/unix", kMostSockets)));
  std::set<pid_t> pids;  // connections have the name, too
  for (std::string line; std::getline(sockets, line);) {
    const std::size_t name = line.find(before_pid);
    if (name == line.npos) continue;
    Result<RealPid> pid = parse_pid(line.substr(name + before_pid.size()));
    if (pid.ok()) pids.insert(pid->value);
  }
  return std::vector<RealPid>(pids.begin(), pids.end());
}

Result<std::optional<ControlClient>> find_superseded(const std::string& target,
                                                     const std::string& jobs_folder) {
  if (looks_like_pid(target)) return std::optional<ControlClient>();
  const JobDir job = CK_TRY(JobDir::find(jobs_folder, target));
  const std::uint64_t pid_namespace = CK_TRY(this_host()).pid_namespace;
  for (RealPid pid : CK_TRY(list_supervisors())) {
    Result<ControlClient> client = ControlClient::connect(pid_namespace, pid);
    if (!client.ok()) continue;
    const Result<wire::StatusReply> status = client->status();
    // A copy that a restart holds has no incarnation.
    if (!status.ok() || status->id() != job.info().id || !status->held() ||
        status->incarnation() == 0)
      continue;
    return std::optional(CK_TRY(ControlClient::connect(pid_namespace, pid)));
  }
  return std::optional<ControlClient>();
}

namespace {

bool is_orphan(const JobDir& job, const Host& here) {
  Result<std::optional<Incarnation>> owner = job.incarnation();
  return owner.ok() && *owner && owner_state(**owner, here) == OwnerState::kProgramLives;
}

// By the root processes that the jobs in the folder name: a supervisor that adopted its job is none
// of the program's parents.
Result<std::optional<JobDir>> find_job_of(RealPid pid, const std::string& jobs_folder) {
  std::map<pid_t, JobDir> by_root;
  for (const std::string& name : CK_TRY(list_jobs(jobs_folder))) {
    Result<JobDir> job = JobDir::open(jobs_folder + "/" + name);
    if (!job.ok()) continue;
    Result<std::optional<Incarnation>> owner = job->incarnation();
    if (!owner.ok() || !*owner || (*owner)->ended) continue;
    if (!process_alive((*owner)->root, (*owner)->root_start)) continue;
    by_root.emplace((*owner)->root.value, std::move(*job));
  }
  for (int depth = 0; pid && depth < kDeepestTree; ++depth) {
    auto found = by_root.find(pid.value);
    if (found != by_root.end()) return std::optional(found->second);
    Result<proc::ProcessStat> stat = proc::read_stat(pid);
    pid = stat.ok() ? stat->ppid : RealPid();
  }
  return std::optional<JobDir>();
}

}  // namespace

Result<std::optional<JobDir>> find_orphan(const std::string& target,
                                          const std::string& jobs_folder) {
  std::optional<JobDir> job;
  if (looks_like_pid(target)) {
    job = CK_TRY(find_job_of(CK_TRY(parse_pid(target)), jobs_folder));
  } else {
    job = CK_TRY(JobDir::find(jobs_folder, target));
  }
  if (job && !is_orphan(*job, CK_TRY(this_host()))) job.reset();
  return job;
}

Result<ControlClient> find_supervisor(const std::string& target, const std::string& jobs_folder) {
  if (!looks_like_pid(target)) return find_supervisor(CK_TRY(JobDir::find(jobs_folder, target)));
  RealPid pid = CK_TRY(parse_pid(target));
  Result<ControlClient> above = find_supervisor(pid);
  if (above.ok() || above.error().kind != ErrorKind::kNotFound) return above;
  std::optional<JobDir> job = CK_TRY(find_job_of(pid, jobs_folder));
  if (!job) return above;
  return find_supervisor(*job);
}

}  // namespace ck::job
