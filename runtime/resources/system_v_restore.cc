#include <fcntl.h>
#include <sched.h>

#include <algorithm>

#include "runtime/proc/tasks.h"
#include "runtime/resources/system_v.h"
#include "runtime/resources/system_v_kinds.h"

namespace ck::resources {
namespace system_v {

bool is_same(const ipc_perm& found, const SystemVState::Owner& owner) {
  return found.__key == owner.key() && found.uid == owner.uid();
}

bool lives_outside(pid_t pid, const std::set<pid_t>& own) {
  return pid > 0 && !own.contains(pid) && proc::any_thread_alive(RealPid(pid));
}

proc::Mailbox& Maker::box(pid_t pid) const {
  const auto found =
      std::find_if(processes_.begin(), processes_.end(),
                   [pid](const RestoreProcess& process) { return process.record->pid() == pid; });
  return *(pid != 0 && found != processes_.end() ? *found : processes_[0]).mailbox;
}

// The setting holds for the next object alone.
Status Maker::announce(proc::Mailbox& box, const Family& family,
                       const SystemVState::Owner& owner) const {
  const std::string id = std::to_string(owner.id());
  box.clear();
  const auto path = box.put_string(family.next_id);
  const auto text = box.put_string(id);
  const auto file = box.add(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CLOEXEC).stop_on_error();
  box.add(SYS_write, file, text, id.size());
  box.add(SYS_close, file);
  CK_TRY(box.run());
  Status told = box.expect_all("name the id of " + name_of(family, owner));
  box.clear();
  if (told.ok()) return {};
  return std::move(told).error().with_hint("needs CAP_CHECKPOINT_RESTORE; try --pids namespace");
}

Status Maker::check(proc::Mailbox& box, const Family& family, const SystemVState::Owner& owner,
                    Result<std::int64_t> id) const {
  if (id.ok() && *id == owner.id()) return {};
  if (!id.ok()) return std::move(id).error();
  if (family.control == SYS_semctl) {
    (void)box.call("remove it again", SYS_semctl, *id, 0, IPC_RMID, 0);
  } else {
    (void)box.call("remove it again", family.control, *id, IPC_RMID, 0);
  }
  return sys_error("make " + name_of(family, owner), EEXIST);
}

}  // namespace system_v

namespace {

using namespace system_v;

// What is looked at before a restart.
struct Look {
  std::vector<std::string> present;  // as arguments of ipcrm(1)
  bool all_same = true;
  std::string obstacle;  // an object that others use, or another one with its id
};

void note(Look& look, const Family& family, const SystemVState::Owner& owner, Standing standing,
          std::set<int>& there) {
  if (standing == Standing::kSame) {
    there.insert(owner.id());
    look.present.push_back(std::string(family.remove) + " " + std::to_string(owner.id()));
    return;
  }
  look.all_same = false;
  if (standing == Standing::kInUse) look.obstacle = name_of(family, owner) + " is used by others";
  if (standing == Standing::kOther)
    look.obstacle = "the id of " + name_of(family, owner) + " belongs to another one here";
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

Error in_the_way(std::string obstacle) {
  Error error = make_error(ErrorKind::kRefused, std::move(obstacle), "try --pids namespace");
  error.errnum = EEXIST;
  return error;
}

bool is_empty(const SystemVState& state) {
  return state.segments_size() == 0 && state.semaphores_size() == 0 && state.queues_size() == 0;
}

}  // namespace

Result<SystemVRestore> SystemVRestore::plan(const image::Reader& reader, bool same_pids,
                                            std::vector<std::string>& warnings) {
  SystemVState state;
  if (!state.ParseFromString(reader.manifest().system_v()))
    return make_error(ErrorKind::kBadImage, "the state of System V objects is damaged");
  SystemVRestore plan(reader, std::move(state));
  if (is_empty(plan.state_)) return plan;
  std::set<pid_t> own;
  for (const image::ProcessRecord& process : reader.manifest().processes())
    if (same_pids) own.insert(process.pid());
  Look look;
  for (const auto& one : plan.state_.segments())
    note(look, kSegments, one.owner(), standing(one), plan.segments_there_);
  for (const auto& one : plan.state_.semaphores())
    note(look, kSemaphores, one.owner(), standing(one, own), plan.semaphores_there_);
  for (const auto& one : plan.state_.queues())
    note(look, kQueues, one.owner(), standing(one, own), plan.queues_there_);
  if (same_pids && !look.obstacle.empty()) return in_the_way(look.obstacle);
  if (same_pids || look.all_same) return plan;
  plan.own_namespace_ = true;
  plan.segments_there_.clear();
  plan.semaphores_there_.clear();
  plan.queues_there_.clear();
  if (!look.present.empty())
    warnings.push_back(
        "the job gets System V objects of its own; those of its former life are left: ipcrm " +
        joined(look.present));
  return plan;
}

Status SystemVRestore::begin(proc::Mailbox& root) const {
  if (!own_namespace_) return {};
  CK_TRY(root.call("make an IPC namespace", SYS_unshare, CLONE_NEWIPC));
  return {};
}

Status SystemVRestore::make(std::span<const RestoreProcess> processes) const {
  const Maker maker(processes, *reader_);
  for (const auto& one : state_.segments())
    CK_TRY(restore(maker, one, segments_there_.contains(one.owner().id())));
  for (const auto& one : state_.semaphores())
    CK_TRY(restore(maker, one, semaphores_there_.contains(one.owner().id())));
  for (const auto& one : state_.queues())
    CK_TRY(restore(maker, one, queues_there_.contains(one.owner().id())));
  return {};
}

Status SystemVRestore::finish(proc::Mailbox& root) const {
  for (const auto& one : state_.segments()) CK_TRY(system_v::finish(root, one));
  return {};
}

}  // namespace ck::resources
