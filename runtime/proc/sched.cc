#include "runtime/proc/sched.h"

#include <sys/syscall.h>
#include <unistd.h>

namespace ck::proc {
namespace {

// linux/sched/types.h clashes with glibc's sched.h.
struct KernelSchedAttr {
  std::uint32_t size;
  std::uint32_t policy;
  std::uint64_t flags;
  std::int32_t nice;
  std::uint32_t priority;
  std::uint64_t runtime, deadline, period;
  std::uint32_t util_min, util_max;
};

Status read_attributes(RealPid tid, Scheduling& into) {
  KernelSchedAttr attr{};
  if (::syscall(SYS_sched_getattr, tid.value, &attr, sizeof attr, 0) < 0) {
    return sys_error("get scheduling of thread " + to_string(tid));
  }
  into.policy = attr.policy;
  into.flags = attr.flags;
  into.nice = attr.nice;
  into.priority = attr.priority;
  into.runtime = attr.runtime;
  into.deadline = attr.deadline;
  into.period = attr.period;
  into.util_min = attr.util_min;
  into.util_max = attr.util_max;
  return {};
}

Status read_affinity(RealPid tid, Scheduling& into) {
  into.affinity.assign(1024, 0);  // 8192 CPUs, the most that a kernel is built for
  long bytes =
      ::syscall(SYS_sched_getaffinity, tid.value, into.affinity.size(), into.affinity.data());
  if (bytes < 0) return sys_error("get CPU affinity of thread " + to_string(tid));
  into.affinity.resize(static_cast<std::size_t>(bytes));
  return {};
}

}  // namespace

Result<Scheduling> read_scheduling(RealPid tid) {
  constexpr int kIoPrioWhoProcess = 1;
  Scheduling scheduling;
  CK_TRY(read_attributes(tid, scheduling));
  CK_TRY(read_affinity(tid, scheduling));
  long io = ::syscall(SYS_ioprio_get, kIoPrioWhoProcess, tid.value);
  if (io < 0) return sys_error("get I/O priority of thread " + to_string(tid));
  scheduling.io_priority = static_cast<int>(io);
  return scheduling;
}

Result<std::vector<Limit>> read_limits(RealPid pid) {
  std::vector<Limit> limits;
  for (int resource = 0; resource < RLIM_NLIMITS; ++resource) {
    rlimit64 limit{};
    if (::syscall(SYS_prlimit64, pid.value, resource, nullptr, &limit) < 0) {
      return sys_error("get resource limits of process " + to_string(pid));
    }
    limits.push_back({resource, limit.rlim_cur, limit.rlim_max});
  }
  return limits;
}

}  // namespace ck::proc
