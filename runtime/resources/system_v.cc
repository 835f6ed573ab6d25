#include "runtime/resources/system_v.h"

#include <signal.h>
#include <sys/msg.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "runtime/proc/proc_file.h"
#include "runtime/proc/stat.h"
#include "runtime/proc/status.h"
#include "runtime/resources/system_v_kinds.h"

namespace ck::resources {
namespace system_v {

const Family kSegments = {
    "shared memory segment",      "/proc/sys/kernel/shm_next_id", SYS_shmctl, SHM_STAT, "-m",
    abi::SystemVFamily::kSegments};
const Family kSemaphores = {"semaphore set",
                            "/proc/sys/kernel/sem_next_id",
                            SYS_semctl,
                            SEM_STAT,
                            "-s",
                            abi::SystemVFamily::kSemaphores};
const Family kQueues = {"message queue",
                        "/proc/sys/kernel/msg_next_id",
                        SYS_msgctl,
                        MSG_STAT,
                        "-q",
                        abi::SystemVFamily::kQueues};

std::string name_of(const Family& family, const SystemVState::Owner& owner) {
  char key[16];
  std::snprintf(key, sizeof key, "0x%08x", static_cast<unsigned>(owner.key()));
  return std::string("System V ") + family.what + " " + std::to_string(owner.id()) + " (key " +
         key + ")";
}

int kernels_id(const SystemVState::Owner& owner) {
  return owner.host_id() == 0 ? owner.id() : static_cast<int>(owner.host_id() - 1);
}

int kernels_key(const SystemVState::Owner& owner) {
  return owner.keyless() ? IPC_PRIVATE : owner.key();
}

void fill_owner(const Job& job, const Family& family, int id, const ipc_perm& permissions,
                SystemVState::Owner& owner) {
  owner.set_id(id);
  owner.set_key(permissions.__key);
  owner.set_mode(permissions.mode);
  owner.set_uid(permissions.uid);
  owner.set_gid(permissions.gid);
  const ControlArea& area = job.box().area();
  if (!area.has_virtual_ids()) return;
  const abi::SystemVEntry* entry = abi::find_real(&area.header()->system_v, family.number, id);
  if (entry == nullptr) return;
  owner.set_id(abi::virtual_in(entry->ids));
  owner.set_host_id(static_cast<std::uint32_t>(id) + 1);
  if (entry->key == 0) return;
  owner.set_key(entry->key);
  owner.set_keyless(true);
}

namespace {

Result<ino_t> namespace_of(RealPid pid) {
  struct stat status {};
  const std::string path = proc::proc_path(pid, "ns/ipc");
  if (::stat(path.c_str(), &status) != 0) return sys_error("examine " + path);
  return status.st_ino;
}

}  // namespace

Result<std::string> place_of(RealPid pid) {
  std::string boot;
  std::ifstream("/proc/sys/kernel/random/boot_id") >> boot;
  return boot + "/" + std::to_string(CK_TRY(namespace_of(pid)));
}

namespace {

// By the clock that objects are dated with, in whole seconds.
Result<time_t> start_of(RealPid pid) {
  const proc::ProcessStatus status = CK_TRY(proc::read_status(pid));
  const proc::ProcessStat stat = CK_TRY(proc::read_stat(status.tgid));
  timespec now{}, since_boot{};
  ::clock_gettime(CLOCK_REALTIME, &now);
  ::clock_gettime(CLOCK_BOOTTIME, &since_boot);
  const auto ticks = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK));
  return now.tv_sec - since_boot.tv_sec + static_cast<time_t>(stat.start_time / ticks) - 1;
}

}  // namespace

Result<Job> Job::look_at(std::span<const CaptureProcess> processes) {
  Job job(processes);
  const ino_t shared = CK_TRY(namespace_of(processes[0].pid));
  for (const CaptureProcess& process : processes.subspan(1)) {
    if (CK_TRY(namespace_of(process.pid)) != shared)
      return make_error(ErrorKind::kRefused, "process " + to_string(process.pid) +
                                                 " is in another IPC namespace than the job");
  }
  job.own_namespace_ = shared != CK_TRY(namespace_of(RealPid(::getpid())));
  job.began_ = CK_TRY(start_of(processes[0].pid));
  job.user_ = processes[0].record->credentials().uids(1);
  return job;
}

pid_t Job::known(pid_t pid) const {
  const pid_t known = box().area().virtual_id(pid);
  const bool ours = std::any_of(
      processes_.begin(), processes_.end(),
      [known](const CaptureProcess& process) { return process.record->pid() == known; });
  return ours ? known : 0;
}

Result<bool> Job::is_alive(pid_t pid) const {
  const auto asked = box().add(SYS_kill, pid, 0);
  CK_TRY(box().run());
  return box().result(asked) != -ESRCH;
}

Result<bool> Job::is_alone(std::span<const User> users) const {
  for (const User& user : users) {
    if (!user.used || (user.pid != 0 && has(user.pid))) continue;
    if (user.pid == 0 || CK_TRY(is_alive(user.pid))) return false;
  }
  return true;
}

bool Job::can_name(const Family& family, int id) const {
  const ControlArea& area = box().area();
  return area.virtual_id(family.number, id) != id || area.real_id(family.number, id) == id;
}

Result<bool> Job::owns(const ipc_perm& permissions, time_t changed,
                       std::span<const User> users) const {
  if (own_namespace_) return true;
  for (const User& user : users)
    if (user.pid != 0 && has(user.pid)) return true;
  if (permissions.cuid != user_ || changed < began_) return false;
  return is_alone(users);
}

}  // namespace system_v

namespace {

using namespace system_v;

struct Extent {
  int segments = -1, semaphores = -1, queues = -1;  // the highest places in the kernel's tables
  bool swapped = false;
  bool any() const { return segments >= 0 || semaphores >= 0 || queues >= 0; }
};

Result<Extent> ask_extent(proc::Mailbox& box) {
  box.clear();
  const auto segments = box.reserve(sizeof(shm_info));
  const auto semaphores = box.reserve(sizeof(seminfo));
  const auto queues = box.reserve(sizeof(msginfo));
  const auto last_segment = box.add(SYS_shmctl, 0, SHM_INFO, segments);
  const auto last_semaphores = box.add(SYS_semctl, 0, 0, SEM_INFO, semaphores);
  const auto last_queue = box.add(SYS_msgctl, 0, MSG_INFO, queues);
  CK_TRY(box.run());
  // Any of them may fail: a kernel without System V IPC, or a filter.
  const auto highest = [&](proc::Mailbox::CallRef call, int used) {
    return box.result(call) < 0 || used == 0 ? -1 : static_cast<int>(box.result(call));
  };
  Extent extent;
  extent.segments = highest(last_segment, box.value_at<shm_info>(segments).used_ids);
  extent.swapped = box.value_at<shm_info>(segments).shm_swp != 0;
  extent.semaphores = highest(last_semaphores, box.value_at<seminfo>(semaphores).semusz);
  extent.queues = highest(last_queue, box.value_at<msginfo>(queues).msgpool);
  box.clear();
  return extent;
}

}  // namespace

Status capture_system_v(std::span<const CaptureProcess> processes, const std::set<int>& attached,
                        image::Manifest& manifest, memory::ObjectTable& objects) {
  const Extent extent = CK_TRY(ask_extent(*processes[0].mailbox));
  if (!extent.any() && attached.empty()) return {};
  const Job job = CK_TRY(Job::look_at(processes));
  SystemVState state;
  CK_TRY(capture_segments(job, extent.segments, extent.swapped, attached, objects, state));
  if (CK_TRY(capture_semaphores(job, extent.semaphores, state)))
    CK_TRY(capture_adjustments(job, state));
  CK_TRY(capture_queues(job, extent.queues, state));
  state.set_place(CK_TRY(place_of(job.pid())));
  manifest.set_system_v(state.SerializeAsString());
  return {};
}

}  // namespace ck::resources
