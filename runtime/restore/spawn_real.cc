// The real way, in the host's own pid namespace: needs CAP_CHECKPOINT_RESTORE, and the ids free.
// And the virtual one: there too, with any ids.
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "runtime/base/log.h"
#include "runtime/proc/proc_file.h"
#include "runtime/proc/virtual_ids.h"
#include "runtime/process/child_process.h"
#include "runtime/restore/id_patience.h"
#include "runtime/restore/spawn_child.h"

namespace ck::restore {

namespace {

// For children only; this process keeps its clocks.
bool enter_time_namespace(const image::ClockRecord& clocks) {
  if (::unshare(CLONE_NEWTIME) != 0) return false;
  const Status written =
      proc::write_proc(RealPid(::getpid()), "timens_offsets", time_offsets(clocks));
  if (!written.ok()) spdlog::warn("{}", written.error().text());
  return written.ok();
}

Error cannot_clone(pid_t wanted, int errnum) {
  Error error = sys_error("start a process with pid " + std::to_string(wanted), errnum);
  error.kind = ErrorKind::kRefused;
  if (errnum == EEXIST)
    return std::move(error).with_hint("the pid is in use; try --pids namespace");
  return std::move(error).with_hint("needs root or CAP_CHECKPOINT_RESTORE; try --pids namespace");
}

Error cannot_keep(const std::string& hostname) {
  return make_error(ErrorKind::kRefused,
                    "keep the hostname " + hostname +
                        " (ckrun --keep-hostname) in a process of "
                        "this pid namespace",
                    "needs root; try --pids namespace");
}

// `wanted`: 0 for any pid.
Result<std::unique_ptr<Spawned>> spawn_here(const image::Manifest& manifest,
                                            const image::ClockRecord& clocks,
                                            const ControlArea& area, const std::string& restorer,
                                            unsigned slot, pid_t wanted) {
  auto spawned = std::make_unique<Spawned>();
  UniqueFd program(::open(restorer.c_str(), O_RDONLY | O_CLOEXEC));
  if (!program) return sys_error("open restorer " + restorer);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return sys_error("socketpair");
  spawned->channel.reset(ends[0]);
  UniqueFd theirs(ends[1]);
  const ChildPlan plan = CK_TRY(plan_child(manifest, area, program.get(), theirs.get(), slot));
  spawned->helpers = plan.helpers;
  spawned->group_of_restart = joins_group(manifest);
  spawned->own_time_namespace = enter_time_namespace(clocks);
  const IdPatience patience(wanted);
  pid_t pid = clone_with_id(clone_flags(plan), wanted);
  while (pid < 0 && patience.again(errno)) pid = clone_with_id(clone_flags(plan), wanted);
  if (pid < 0 && errno == EPERM && !plan.hostname.empty()) return cannot_keep(plan.hostname);
  if (pid < 0) return cannot_clone(wanted, errno);
  if (pid == 0) become_restorer(plan);
  spawned->root = CK_TRY(process::ChildProcess::watch(RealPid(pid)));
  return spawned;
}

}  // namespace

Result<std::unique_ptr<Spawned>> spawn_real(const image::Manifest& manifest,
                                            const image::ClockRecord& clocks,
                                            const ControlArea& area, const std::string& restorer,
                                            unsigned slot) {
  return spawn_here(manifest, clocks, area, restorer, slot, manifest.processes(0).pid());
}

Result<std::unique_ptr<Spawned>> spawn_virtual(const image::Manifest& manifest,
                                               const image::ClockRecord& clocks,
                                               const ControlArea& area, const std::string& restorer,
                                               unsigned slot) {
  auto spawned = CK_TRY(spawn_here(manifest, clocks, area, restorer, slot, 0));
  proc::begin_virtual_ids(area);
  CK_TRY(proc::bind_id(area, manifest.processes(0).pid(), spawned->root->pid()));
  return spawned;
}

}  // namespace ck::restore
