#include "runtime/capture/frozen_job.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <thread>

#include "runtime/base/log.h"
#include "runtime/proc/proc_file.h"
#include "runtime/proc/tasks.h"

namespace ck::capture {

using std::chrono::steady_clock;

namespace {

constexpr std::chrono::microseconds kBetweenAttempts{300};
constexpr std::string_view kSupervisorName = "ckrun";

bool maps(RealPid pid, ino_t area) {
  const Result<std::vector<proc::Mapping>> mappings = proc::read_maps(pid);
  return mappings.ok() && std::any_of(mappings->begin(), mappings->end(), [&](const auto& mapping) {
           return mapping.inode == area && mapping.shared;
         });
}

// What is shared without being threads would have to be restored so.
Status refuse_shared(const FrozenProcess& process) {
  const auto shared = shared_with(process.witness, process.status.ppid);
  if (!shared) return {};
  const auto [what, how] =
      std::pair(shared->substr(0, shared->find(" (")), shared->substr(shared->find(" (")));
  return make_error(ErrorKind::kRefused, "process " + to_string(process.pid) + " (" +
                                             process.status.name + ") shares " + what +
                                             " with its parent" + how);
}

}  // namespace

Result<std::vector<RealPid>> members_below(RealPid reaper, ino_t area) {
  std::vector<RealPid> members;
  const proc::ProcessStatus own = CK_TRY(proc::read_status(RealPid(::getpid())));
  const Result<proc::ProcessStatus> status = proc::read_status(reaper);
  const Result<std::vector<RealPid>> children = proc::read_children(reaper);
  if (!status.ok() || !children.ok()) return members;
  const bool ours = reaper == RealPid(::getpid()) || status->ns_tgid.size() > own.ns_tgid.size();
  for (RealPid child : *children) {
    // A dead orphan is collected by whoever has inherited it. The init of a job's own namespace is
    // none of the job.
    const Result<proc::ProcessStatus> now = proc::read_status(child);
    if (!now.ok() || !proc::any_thread_alive(child)) continue;
    // One that has adopted its job has the reaper for a parent too, and maps the area.
    if (child == RealPid(::getpid()) || (!ours && now->name == kSupervisorName)) continue;
    if (reaper == RealPid(::getpid()) && now->ns_tgid.size() > own.ns_tgid.size()) continue;
    if (ours || maps(child, area)) members.push_back(child);
  }
  return members;
}

Result<std::vector<RealPid>> top_members(RealPid root, ino_t area) {
  std::vector<RealPid> members{root};
  const Result<proc::ProcessStatus> status = proc::read_status(root);
  if (!status.ok() || !status->ppid) return members;
  for (RealPid member : CK_TRY(members_below(status->ppid, area)))
    if (member != root) members.push_back(member);
  return members;
}

Result<std::vector<RealPid>> job_members(RealPid root, ino_t area) {
  std::vector<RealPid> members = CK_TRY(top_members(root, area));
  for (std::size_t i = 0; i < members.size(); ++i)
    if (const auto children = proc::read_children(members[i]); children.ok())
      members.insert(members.end(), children->begin(), children->end());
  return members;
}

Result<std::unique_ptr<FrozenJob>> FrozenJob::freeze(RealPid root, ControlArea& area,
                                                     Deadline deadline, bool allow_uncontrolled,
                                                     std::set<pid_t> known_whole) {
  std::unique_ptr<FrozenJob> job(new FrozenJob(root, area, deadline, allow_uncontrolled));
  job->known_whole_ = std::move(known_whole);
  job->area_inode_ = CK_TRY(area.inode());
  std::string obstacle;
  for (;;) {
    if (CK_TRY(job->stop_and_park(obstacle))) return job;
    job->keep_stuck();
    job->processes.clear();
    CK_TRY(job->wait_for_stuck(obstacle));
    spdlog::debug("freeze of job {}: {}; again", root.value, obstacle);
    if (steady_clock::now() >= deadline)
      return make_error(ErrorKind::kTryAgain, "the job cannot be frozen: " + obstacle,
                        "try again, or give it more time with --timeout");
    std::this_thread::sleep_for(kBetweenAttempts);
  }
}

void FrozenJob::keep_stuck() {
  for (auto& process : processes)
    if (were_stuck_.contains(process->pid.value) && !process->frozen())
      stuck_[process->pid.value] = std::move(process);
}

// The others go on meanwhile: what it waits for may be one of them.
Status FrozenJob::wait_for_stuck(std::string& obstacle) {
  while (!stuck_.empty() && steady_clock::now() < deadline_) {
    bool all_stopped = true;
    for (auto it = stuck_.begin(); it != stuck_.end();) {
      const Result<FrozenProcess::Standing> standing = it->second->stop(obstacle);
      if (!standing.ok() && standing.error().errnum != ESRCH) return standing.error();
      const bool waits = standing.ok() && *standing == FrozenProcess::Standing::kStuck;
      const bool stopped = standing.ok() && *standing == FrozenProcess::Standing::kStopped;
      all_stopped = all_stopped && !waits;
      it = waits || stopped ? std::next(it) : stuck_.erase(it);
    }
    if (all_stopped) return {};
  }
  return {};
}

Result<bool> FrozenJob::stop_and_park(std::string& obstacle) {
  if (!CK_TRY(stop_tree(obstacle))) return false;
  const Status parked = park_all();
  if (parked.ok()) return true;
  if (!lost_one(parked.error())) return parked.error();
  obstacle = "a process ended meanwhile";
  return false;
}

// A traced process that is killed while it is stopped answers ESRCH before it is seen to end; one
// that is ending has no folder, files or memory before it has ended.
bool FrozenJob::lost_one(const Error& failure) const {
  return failure.errnum == ESRCH ||
         std::any_of(processes.begin(), processes.end(),
                     [](const auto& process) { return proc::all_ending(process->pid); });
}

bool FrozenJob::has(RealPid pid) const {
  return std::any_of(processes.begin(), processes.end(),
                     [&](const auto& process) { return process->pid == pid; });
}

Result<bool> FrozenJob::stop_tree(std::string& obstacle) {
  processes.clear();
  ended.clear();
  left_out.clear();
  seen_.clear();
  for (;;) {
    std::vector<RealPid> level = unseen(CK_TRY(top_members(root_, area_inode_)));
    if (level.empty()) level = unseen(CK_TRY(children_of_all()));
    if (level.empty()) return true;
    while (!level.empty()) {
      const std::size_t before = processes.size();
      if (!CK_TRY(stop_level(level, obstacle))) return false;
      level.clear();
      for (std::size_t i = before; i < processes.size(); ++i) {
        const std::vector<RealPid> children = CK_TRY(proc::read_children(processes[i]->pid));
        level.insert(level.end(), children.begin(), children.end());
      }
      level = unseen(level);
    }
  }
}

std::vector<RealPid> FrozenJob::unseen(const std::vector<RealPid>& pids) {
  std::vector<RealPid> result;
  for (RealPid pid : pids)
    if (seen_.insert(pid.value).second) result.push_back(pid);
  return result;
}

// A subreaper among them inherits orphans even while it is stopped: its leader does, unless that
// has exited (find_alive_thread() in the kernel's exit.c).
Result<std::vector<RealPid>> FrozenJob::children_of_all() const {
  std::vector<RealPid> all;
  for (const auto& process : processes) {
    const std::vector<RealPid> children =
        process->leader_exited ? CK_TRY(proc::read_children(process->pid))
                               : CK_TRY(proc::read_children_of_thread(process->pid, process->pid));
    all.insert(all.end(), children.begin(), children.end());
  }
  return all;
}

// All are asked before any is waited for.
Result<bool> FrozenJob::stop_level(const std::vector<RealPid>& level, std::string& obstacle) {
  std::vector<std::unique_ptr<FrozenProcess>> stopping;
  for (RealPid pid : level) {
    auto stuck = stuck_.extract(pid.value);
    auto process =
        stuck ? std::move(stuck.mapped()) : std::make_unique<FrozenProcess>(pid, area_, deadline_);
    if (const auto known = dumpable_was_.find(pid.value); known != dumpable_was_.end())
      process->dumpable_was = known->second;
    Status begun = process->begin_stop();
    if (!begun.ok() && may_leave_out(*process, begun.error())) continue;
    CK_TRY(std::move(begun));
    if (process->dumpable_was >= 0) dumpable_was_[pid.value] = process->dumpable_was;
    stopping.push_back(std::move(process));
  }
  bool all = true;
  for (std::unique_ptr<FrozenProcess>& process : stopping) {
    const Result<FrozenProcess::Standing> stopped = process->stop(obstacle);
    if (!stopped.ok() && may_leave_out(*process, stopped.error())) continue;
    if (!stopped.ok() && stopped.error().errnum != ESRCH) return stopped.error();
    const auto standing = stopped.ok() ? *stopped : FrozenProcess::Standing::kNotYet;
    if (!stopped.ok()) obstacle = stopped.error().message;  // it has just been killed
    if (standing == FrozenProcess::Standing::kStuck) {
      were_stuck_.insert(process->pid.value);
      stuck_[process->pid.value] = std::move(process);
    }
    if (standing == FrozenProcess::Standing::kStuck ||
        standing == FrozenProcess::Standing::kNotYet) {
      all = false;  // the rest is waited for all the same: it may be stuck too
      continue;
    }
    if (standing == FrozenProcess::Standing::kEnded) {
      CK_TRY(note_ended(process->pid));
      continue;
    }
    if (process->pid != root_) CK_TRY(refuse_shared(*process));
    if (!known_whole_.contains(process->pid.value)) CK_TRY(process->refuse_apart());
    processes.push_back(std::move(process));
  }
  return all;
}

bool FrozenJob::may_leave_out(const FrozenProcess& process, const Error& reason) {
  if (!allow_uncontrolled_ || !process.uncontrolled || process.pid == root_) return false;
  left_out.push_back({process.pid, reason});
  return true;
}

Status FrozenJob::note_ended(RealPid pid) {
  if (pid == root_)
    return make_error(ErrorKind::kNotFound, "process " + to_string(pid) + " has ended");
  EndedProcess process;
  Result<proc::ProcessStatus> status = proc::read_status(pid);
  Result<proc::ProcessStat> stat = proc::read_stat(pid);
  // Collected meanwhile: by its parent, before that was stopped, or by the supervisor.
  if (!status.ok() || !stat.ok() || status->state != 'Z') return {};
  if (status->ppid == RealPid(::getpid())) return {};
  const auto known = [this](const std::vector<pid_t>& ids, RealPid outer) {
    return VirtualPid(area_.virtual_id(ids.empty() ? outer.value : ids.back()));
  };
  process.virtual_pid = known(status->ns_tgid, pid);
  process.group = known(status->ns_pgid, stat->pgrp);
  process.session = known(status->ns_sid, stat->session);
  process.status = std::move(*status);
  process.stat = std::move(*stat);
  ended.push_back(std::move(process));
  return {};
}

Status FrozenJob::park_all() {
  const std::size_t levels = processes.front()->status.ns_tgid.size();
  std::size_t slots = 0;
  for (const auto& process : processes) {
    slots += process->thread_count() + kSpareSlots;
    if (process->status.ns_tgid.size() == levels) continue;
    return make_error(ErrorKind::kRefused, "process " + to_string(process->pid) + " (" +
                                               process->status.name +
                                               ") is in a pid namespace that the job has made");
  }
  if (slots > area_.slot_count())
    return make_error(
        ErrorKind::kRefused,
        "the job has " + std::to_string(processes.size()) + " processes and " +
            std::to_string(slots - processes.size() * kSpareSlots) +
            " threads; it was started for " + std::to_string(area_.slot_count() - kSpareSlots) +
            " threads, and each process counts as " + std::to_string(kSpareSlots) + " more",
        "start the job with a larger ckrun --max-threads");
  CK_TRY(area_.reserve(static_cast<unsigned>(slots)));
  unsigned next = 0;
  for (const auto& process : processes) {
    CK_TRY(process->park(next));
    next = process->slots_end() + kSpareSlots;
  }
  for (const auto& process : processes) CK_TRY(process->await_parked());
  return {};
}

Status FrozenJob::thaw() {
  Status first;
  for (const auto& process : processes)
    if (Status status = process->thaw(); !status.ok() && first.ok()) first = std::move(status);
  return first;
}

Status FrozenJob::die_with_supervisor(bool dies) {
  for (const auto& process : processes) CK_TRY(process->die_with_supervisor(dies));
  return {};
}

void FrozenJob::kill() {
  for (const auto& process : processes) process->kill();
}

}  // namespace ck::capture
