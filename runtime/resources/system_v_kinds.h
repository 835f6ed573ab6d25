// What the three kinds of System V objects have in common, and one another's functions; see
// system_v.h. Engine thread only.
#pragma once

#include <sys/ipc.h>
#include <sys/syscall.h>

#include <cstring>
#include <span>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/base/result.h"
#include "runtime/resources/capture.h"
#include "runtime/resources/restore.h"
#include "runtime/resources/states.pb.h"

namespace ck::resources::system_v {

struct Family {
  const char* what;     // "semaphore set"
  const char* next_id;  // setting that names the id of the next one (ipc(5) of the kernel's docs)
  long control;         // the system call
  int stat;             // its command that finds by place in the kernel's table
  const char* remove;   // ipcrm's option
  abi::SystemVFamily number;
};
extern const Family kSegments, kSemaphores, kQueues;

std::string name_of(const Family& family, const SystemVState::Owner& owner);
// What system calls of ours name the object by.
int kernels_id(const SystemVState::Owner& owner);
// The same for the key.
int kernels_key(const SystemVState::Owner& owner);

// semctl(2) has one argument more than the others.
template <typename Argument>
proc::Mailbox::CallRef add_control(proc::Mailbox& box, const Family& family, int id, int command,
                                   Argument argument) {
  if (family.control == SYS_semctl) return box.add(SYS_semctl, id, 0, command, argument);
  return box.add(family.control, id, command, argument);
}

// What a capture asks.
class Job {
 public:
  static Result<Job> look_at(std::span<const CaptureProcess> processes);

  proc::Mailbox& box() const { return *processes_[0].mailbox; }
  RealPid pid() const { return processes_[0].pid; }
  std::span<const CaptureProcess> processes() const { return processes_; }
  bool has(pid_t pid) const { return known(pid) != 0; }
  // The pid by which its program knows a process of the job; 0: it is none.
  pid_t known(pid_t pid) const;
  // Whether the job may know the object with that id: with virtual ids, its number may mean another
  // one there.
  bool can_name(const Family& family, int id) const;
  // Who used the object last, as the processes of the job see it; 0 with `used`: somebody whom they
  // cannot see.
  struct User {
    pid_t pid = 0;
    bool used = false;
  };
  // None of them is somebody who lives outside of the job.
  Result<bool> is_alone(std::span<const User> users) const;
  Result<bool> owns(const ipc_perm& permissions, time_t changed, std::span<const User> users) const;

 private:
  explicit Job(std::span<const CaptureProcess> processes) : processes_(processes) {}
  Result<bool> is_alive(pid_t pid) const;
  std::span<const CaptureProcess> processes_;
  bool own_namespace_ = false;
  uid_t user_ = 0;
  time_t began_ = 0;
};

// All objects of a family that the job may read, with the kernel's description of each.
template <typename Description>
Result<std::vector<std::pair<int, Description>>> list(const Job& job, const Family& family,
                                                      int highest) {
  static_assert(std::is_trivially_copyable_v<Description>);
  constexpr int kAtOnce = 4096 / sizeof(Description);
  proc::Mailbox& box = job.box();
  std::vector<std::pair<int, Description>> found;
  for (int first = 0; first <= highest; first += kAtOnce) {
    std::vector<std::pair<proc::Mailbox::CallRef, proc::Mailbox::Address>> asked;
    box.clear();
    for (int place = first; place <= highest && place < first + kAtOnce; ++place) {
      const proc::Mailbox::Address address = box.reserve(sizeof(Description));
      asked.emplace_back(add_control(box, family, place, family.stat, address), address);
    }
    CK_TRY(box.run());
    for (auto [call, address] : asked)
      if (box.result(call) >= 0 && job.can_name(family, static_cast<int>(box.result(call))))
        found.emplace_back(static_cast<int>(box.result(call)), box.value_at<Description>(address));
  }
  box.clear();
  return found;
}

// Owner and permissions; `permissions` finds them in a description, and may change more there.
template <typename Description, typename Permissions>
Status set_owner(proc::Mailbox& box, const Family& family, const SystemVState::Owner& owner,
                 Permissions permissions) {
  const auto address = box.reserve(sizeof(Description));
  add_control(box, family, kernels_id(owner), IPC_STAT, address);
  CK_TRY(box.run());
  CK_TRY(box.expect_all("examine " + name_of(family, owner)));
  const auto before = box.value_at<Description>(address);
  Description wanted = before;
  ipc_perm& permission = permissions(wanted);
  permission.uid = owner.uid();
  permission.gid = owner.gid();
  permission.mode = (permission.mode & ~0777u) | (owner.mode() & 0777u);
  box.clear();
  if (std::memcmp(&wanted, &before, sizeof wanted) == 0) return {};
  add_control(box, family, kernels_id(owner), IPC_SET, box.put_value(wanted));
  CK_TRY(box.run());
  Status set = box.expect_all("set owner and permissions of " + name_of(family, owner));
  box.clear();
  return set;
}

void fill_owner(const Job& job, const Family& family, int id, const ipc_perm& permissions,
                SystemVState::Owner& owner);

Status capture_segments(const Job& job, int highest, bool swapped, const std::set<int>& attached,
                        memory::ObjectTable& objects, SystemVState& state);
// Whether nobody but the job uses any semaphores here.
Result<bool> capture_semaphores(const Job& job, int highest, SystemVState& state);
Status capture_adjustments(const Job& job, SystemVState& state);
// One answer of semctl(2) for each semaphore of a set.
Result<std::vector<std::int64_t>> ask_each(proc::Mailbox& box, int id, std::uint64_t count,
                                           int command);
Status capture_queues(const Job& job, int highest, SystemVState& state);

// Where ids hold: the host's boot, and the process's IPC namespace.
Result<std::string> place_of(RealPid pid);

// What stands in the place of an object of the image, seen from the engine.
enum class Standing { kGone, kSame, kOther, kInUse };
// `own`: pids that belong to the job; none is alive but as a part of it.
Standing standing(const SystemVState::Segment& segment);
Standing standing(const SystemVState::Semaphores& semaphores, const std::set<pid_t>& own);
Standing standing(const SystemVState::Queue& queue, const std::set<pid_t>& own);
bool is_same(const ipc_perm& found, const SystemVState::Owner& owner);
bool lives_outside(pid_t pid, const std::set<pid_t>& own);

// What a restore does, in the job's processes.
class Maker {
 public:
  Maker(std::span<const RestoreProcess> processes, const image::Reader& reader)
      : processes_(processes), reader_(reader) {}
  // The process with that pid, or the first one.
  proc::Mailbox& box(pid_t pid = 0) const;
  const image::Reader& reader() const { return reader_; }
  // shmget and the like, with the id of `owner`. Where ids are virtual, with any, and without the
  // key if others have it; `owner` then says so.
  template <typename... Args>
  Status make(proc::Mailbox& box, const Family& family, SystemVState::Owner& owner, long get,
              Args... args) const {
    const std::string what = "make " + name_of(family, owner);
    const bool any_id = box.area().has_virtual_ids();
    if (!any_id) CK_TRY(announce(box, family, owner));
    Result<std::int64_t> id = box.call(what, get, owner.key(), args...);
    if (!any_id) return check(box, family, owner, std::move(id));
    if (!id.ok() && id.error().errnum == EEXIST) {
      owner.set_keyless(true);
      id = box.call(what, get, IPC_PRIVATE, args...);
    }
    owner.set_host_id(static_cast<std::uint32_t>(CK_TRY(std::move(id))) + 1);
    return {};
  }

 private:
  Status announce(proc::Mailbox& box, const Family& family, const SystemVState::Owner& owner) const;
  Status check(proc::Mailbox& box, const Family& family, const SystemVState::Owner& owner,
               Result<std::int64_t> id) const;
  std::span<const RestoreProcess> processes_;
  const image::Reader& reader_;
};

// `there`: the object is there already.
Status restore(const Maker& maker, SystemVState::Segment& segment, bool there);
Status restore(const Maker& maker, SystemVState::Semaphores& semaphores, bool there);
Status restore_adjustments(const Maker& maker, const SystemVState::Semaphores& semaphores);
Status restore(const Maker& maker, SystemVState::Queue& queue, bool there);
// Owner, mode, and the mark that it lives only as long as it is attached.
Status finish(proc::Mailbox& box, const SystemVState::Segment& segment);

}  // namespace ck::resources::system_v
