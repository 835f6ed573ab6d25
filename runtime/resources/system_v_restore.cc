#include <fcntl.h>
#include <sched.h>
#include <sys/sem.h>
#include <unistd.h>

#include <algorithm>

#include "runtime/proc/tasks.h"
#include "runtime/proc/virtual_ids.h"
#include "runtime/resources/system_v.h"
#include "runtime/resources/system_v_kinds.h"

namespace ck::resources {
namespace system_v {

bool is_same(const ipc_perm& found, const SystemVState::Owner& owner) {
  return found.__key == kernels_key(owner) && found.uid == owner.uid();
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
  explicit Look(SystemVRestore::Ids which) : ids(which) {}
  SystemVRestore::Ids ids;
  bool same_place = false;           // where the job was captured
  std::vector<std::string> present;  // as arguments of ipcrm(1)
  std::vector<std::string> shared;   // names
  bool all_same = true;
  std::string obstacle;  // an object that others use, or another one with its id
};

// An object that has its own id, or with virtual ones any. It is reused, if it can be.
void note(Look& look, const Family& family, SystemVState::Owner& owner, Standing standing,
          std::set<int>& there) {
  const bool any_id = look.ids == SystemVRestore::Ids::kVirtual;
  const bool has_id = owner.host_id() == 0;
  if (standing == Standing::kSame)
    look.present.push_back(std::string(family.remove) + " " + std::to_string(kernels_id(owner)));
  if (standing == Standing::kSame && (has_id || any_id)) {
    there.insert(owner.id());
    return;
  }
  look.all_same = false;
  if (standing == Standing::kInUse) look.shared.push_back(name_of(family, owner));
  if (standing == Standing::kInUse) look.obstacle = name_of(family, owner) + " is used by others";
  if (standing == Standing::kOther && has_id)
    look.obstacle = "the id of " + name_of(family, owner) + " belongs to another one here";
  if (standing == Standing::kSame)
    look.obstacle = name_of(family, owner) +
                    " is left from the job's former life, with another id: ipcrm " +
                    look.present.back();
  owner.clear_host_id();
  owner.clear_keyless();
}

template <typename Object, typename... Own>
void look_at(Look& look, const Family& family, Object& object, std::set<int>& there,
             const Own&... own) {
  SystemVState::Owner& owner = *object.mutable_owner();
  if (!look.same_place) owner.clear_host_id();
  if (!look.same_place) owner.clear_keyless();
  const bool not_ours = look.ids == SystemVRestore::Ids::kVirtual && !look.same_place;
  note(look, family, owner, not_ours ? Standing::kGone : standing(object, own...), there);
}

std::string joined(const std::vector<std::string>& words, const char* between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

Error in_the_way(const Look& look) {
  Error error = make_error(ErrorKind::kRefused, look.obstacle, "try --pids namespace");
  error.errnum = EEXIST;
  return error;
}

bool is_empty(const SystemVState& state) {
  return state.segments_size() == 0 && state.semaphores_size() == 0 && state.queues_size() == 0;
}

}  // namespace

Result<SystemVRestore> SystemVRestore::plan(const image::Reader& reader, Ids ids,
                                            std::vector<std::string>& warnings) {
  SystemVState state;
  if (!state.ParseFromString(reader.manifest().system_v()))
    return make_error(ErrorKind::kBadImage, "the state of System V objects is damaged");
  SystemVRestore plan(reader, std::move(state));
  if (is_empty(plan.state_)) return plan;
  std::set<pid_t> own;
  for (const image::ProcessRecord& process : reader.manifest().processes())
    if (ids == Ids::kOfHost) own.insert(process.pid());
  Look look(ids);
  look.same_place = plan.state_.place() == CK_TRY(place_of(RealPid(::getpid())));
  for (auto& one : *plan.state_.mutable_segments())
    look_at(look, kSegments, one, plan.segments_there_);
  for (auto& one : *plan.state_.mutable_semaphores())
    look_at(look, kSemaphores, one, plan.semaphores_there_, own);
  for (auto& one : *plan.state_.mutable_queues())
    look_at(look, kQueues, one, plan.queues_there_, own);
  if (ids == Ids::kOfHost && !look.obstacle.empty()) return in_the_way(look);
  if (ids == Ids::kVirtual && !look.shared.empty())
    warnings.push_back("the job gets objects of its own instead of those that others use here: " +
                       joined(look.shared, ", "));
  if (ids != Ids::kNamespace || look.all_same) return plan;
  plan.own_namespace_ = true;
  plan.segments_there_.clear();
  plan.semaphores_there_.clear();
  plan.queues_there_.clear();
  if (!look.present.empty())
    warnings.push_back(
        "the job gets System V objects of its own; those of its former life are left: ipcrm " +
        joined(look.present, " "));
  return plan;
}

Status SystemVRestore::begin(proc::Mailbox& root) const {
  if (!own_namespace_) return {};
  CK_TRY(root.call("make an IPC namespace", SYS_unshare, CLONE_NEWIPC));
  return {};
}

template <typename Object>
Status SystemVRestore::make_one(const Maker& maker, const Family& family, Object& object,
                                bool there) const {
  CK_TRY(restore(maker, object, there));
  const SystemVState::Owner& owner = object.owner();
  if (owner.id() == kernels_id(owner) && !owner.keyless()) return {};
  return proc::bind_system_v(maker.box().area(), family.number, owner.id(), kernels_id(owner),
                             owner.keyless() ? owner.key() : 0);
}

Status SystemVRestore::make(std::span<const RestoreProcess> processes) {
  made_ = true;
  const Maker maker(processes, *reader_);
  for (auto& one : *state_.mutable_segments())
    CK_TRY(make_one(maker, kSegments, one, segments_there_.contains(one.owner().id())));
  for (auto& one : *state_.mutable_semaphores())
    CK_TRY(make_one(maker, kSemaphores, one, semaphores_there_.contains(one.owner().id())));
  for (auto& one : *state_.mutable_queues())
    CK_TRY(make_one(maker, kQueues, one, queues_there_.contains(one.owner().id())));
  return {};
}

Status SystemVRestore::finish(proc::Mailbox& root) const {
  for (const auto& one : state_.segments()) CK_TRY(system_v::finish(root, one));
  return {};
}

SystemVRestore::~SystemVRestore() {
  if (!made_) return;
  const auto remove = [](const Family& family, const SystemVState::Owner& owner,
                         const std::set<int>& there) {
    if (owner.host_id() == 0 || there.contains(owner.id())) return;
    if (family.control == SYS_semctl)
      (void)::semctl(kernels_id(owner), 0, IPC_RMID);
    else
      (void)::syscall(family.control, kernels_id(owner), IPC_RMID, 0);
  };
  for (const auto& one : state_.segments()) remove(kSegments, one.owner(), segments_there_);
  for (const auto& one : state_.semaphores()) remove(kSemaphores, one.owner(), semaphores_there_);
  for (const auto& one : state_.queues()) remove(kQueues, one.owner(), queues_there_);
}

}  // namespace ck::resources
